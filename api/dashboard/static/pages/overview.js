// Overview: how the broker is doing, now and lately.

import { h, replace } from '../lib/dom.js';
import { get } from '../lib/api.js';
import { link } from '../lib/router.js';
import { number, bytes, seconds, count } from '../lib/format.js';
import { chart } from '../ui/chart.js';
import { head, segments, card, when, failed, badge, icon } from '../ui/parts.js';

const ranges = [
  ['600', '10 min'],
  ['3600', '1 h'],
  ['21600', '6 h'],
  ['86400', '1 d'],
  ['604800', '7 d'],
];

const perSecond = (n) => `${number(n)}/s`;

// The charts: how a sample becomes values. span is the time since the sample before, in seconds.
const charts = [
  {
    title: 'Messages',
    series: [{ name: 'in' }, { name: 'out' }, { name: 'dropped' }],
    format: perSecond,
    of: (s, span) => [s.received / span, s.sent / span, s.dropped / span],
  },
  {
    title: 'Bytes',
    series: [{ name: 'in' }, { name: 'out' }],
    format: (n) => `${bytes(n)}/s`,
    base: 1024,
    of: (s, span) => [s.received_bytes / span, s.sent_bytes / span],
  },
  {
    title: 'Connections and sessions',
    series: [{ name: 'connected' }, { name: 'sessions' }],
    format: number,
    of: (s) => [s.live_connections, s.connections],
  },
  {
    title: 'Commits to disk',
    series: [{ name: 'mean' }, { name: 'slowest 1 %' }],
    format: seconds,
    of: (s) => (s.commits ? [s.commit_seconds_mean, s.commit_seconds_p99] : [null, null]),
  },
  { title: 'Memory', series: [{ name: 'in use' }], format: bytes, base: 1024, of: (s) => [s.memory_bytes] },
  { title: 'Log on disk', series: [{ name: 'size' }], format: bytes, base: 1024, of: (s) => [s.log_bytes] },
];

function tile(label, value, note, to) {
  const shown = h('span.value', '–');
  const noted = h('span.note');
  const el = h(to ? 'a.tile' : 'div.tile', to ? { href: to } : {}, h('span.label', label), shown, noted);
  return {
    el,
    update(now) {
      replace(shown, value(now));
      replace(noted, note?.(now));
    },
  };
}

const rate = (n) => [number(n), h('small', '/s')];

const tiles = () => [
  tile(
    'Connected',
    (n) => number(n.live_connections),
    (n) => `${count(n.connections, 'session')}`,
    link('clients', { state: 'connected' }),
  ),
  tile(
    'Messages in',
    (n) => rate(n.received_msg_rate),
    (n) => `${bytes(n.received_bytes_rate)}/s`,
  ),
  tile(
    'Messages out',
    (n) => rate(n.sent_msg_rate),
    (n) => `${bytes(n.sent_bytes_rate)}/s`,
  ),
  tile(
    'Dropped',
    (n) => rate(n.dropped_msg_rate),
    () => 'each for a named reason',
  ),
  tile(
    'Subscriptions',
    (n) => number(n.subscriptions),
    (n) => `to ${count(n.topics, 'filter')}`,
    link('subscriptions'),
  ),
  tile(
    'Retained',
    (n) => number(n.retained_msg_count),
    () => 'messages',
    link('retained'),
  ),
  tile('Memory', (n) => bytes(n.memory_bytes)),
  tile(
    'Log',
    (n) => bytes(n.log_bytes),
    (n) => (n.disk_free_bytes ? `${bytes(n.disk_free_bytes)} free on disk` : null),
  ),
];

export async function show(view) {
  const all = tiles();
  const drawn = charts.map((c) => ({ ...c, chart: chart(c) }));
  const alarms = h('div');
  const about = h('p.about');
  const trouble = h('div');
  let latest = view.query.latest ?? '600';
  const pageHead = head('Overview', {
    actions: segments('How far back', ranges, latest, (v) => {
      latest = v;
      view.setQuery({ latest: v });
      history();
    }),
  });
  pageHead.append(about);
  view.root.append(
    pageHead,
    trouble,
    alarms,
    h(
      'div.tiles',
      all.map((t) => t.el),
    ),
    h(
      'div.grid.halves',
      drawn.map((d) => card(d.title, {}, d.chart.el)),
    ),
  );

  view.every(3000, async () => {
    try {
      const [now, nodes] = await Promise.all([
        get('monitor_current', {}, { signal: view.signal }),
        get('nodes', {}, { signal: view.signal }),
      ]);
      replace(trouble);
      for (const t of all) t.update(now);
      drawAlarms(alarms, now.alarms);
      const node = nodes[0];
      replace(about, `${node.node} runs version ${node.version}, started `, when(Date.now() - node.uptime), '.');
    } catch (err) {
      if (err.name === 'AbortError') throw err;
      if (err.status) replace(trouble, h('div.card', failed(err)));
    }
  });

  const history = view.every(5000, async () => {
    const samples = await get('monitor', { latest }, { signal: view.signal });
    for (const d of drawn) d.chart.update(points(samples, d.of));
  });
}

// points makes values of samples, whose counts are those since the one before.
export function points(samples, of) {
  return samples.map((s, i) => {
    const span =
      i > 0 ? (s.time_stamp - samples[i - 1].time_stamp) / 1000 : samples.length > 1 ? (samples[1].time_stamp - s.time_stamp) / 1000 : 10;
    return { time: s.time_stamp, values: of(s, Math.max(1, span)) };
  });
}

function drawAlarms(el, n) {
  if (Number(el.dataset.n ?? 0) === n) return;
  el.dataset.n = n;
  replace(
    el,
    n > 0 &&
      h(
        'a.alarm-line',
        { href: link('alarms') },
        icon('alarms'),
        `${count(n, 'alarm')} ${n === 1 ? 'is' : 'are'} active`,
        badge('look', 'danger'),
      ),
  );
}
