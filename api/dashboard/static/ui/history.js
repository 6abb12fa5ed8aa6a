// Looks into a history: from a time on, page by page.

import { h, replace } from '../lib/dom.js';
import { get } from '../lib/api.js';
import { clock, absolute, plainTime, count } from '../lib/format.js';
import { ofMessage, payload, preview } from './payload.js';
import { button, choice, badge, facts, empty, failed, bones } from './parts.js';

const starts = [
  ['900', 'The last 15 minutes'],
  ['3600', 'The last hour'],
  ['86400', 'The last day'],
  ['earliest', 'From the beginning'],
];
const some = 100;

// details of a message of the API, as names and values.
export function details(m) {
  const p = m.properties ?? {};
  return [
    ['Published', absolute(m.publish_at)],
    ['By', m.from_clientid],
    ['Place', m.id],
    ['Given', m.deliveries && count(m.deliveries, 'time')],
    ['Content type', p.content_type],
    ['Response topic', p.response_topic],
    ['Correlation data', p.correlation_data ?? p.correlation_data_base64],
    ['Expires in', p.message_expiry_interval && `${p.message_expiry_interval} s`],
    ...Object.entries(p.user_properties ?? {}),
  ];
}

// message is one line, which unfolds.
export function message(m) {
  const bytes = ofMessage(m);
  const el = h(
    'details',
    h(
      'summary',
      h('span.way', '↓'),
      h('span.topic', m.topic),
      h(
        'span.when',
        { title: absolute(m.publish_at) },
        `QoS ${m.qos} · `,
        m.retain && 'retained · ',
        day(m.publish_at),
        clock(m.publish_at),
      ),
      h('span.preview', preview(bytes)),
    ),
  );
  el.addEventListener('toggle', () => {
    if (el.open && el.children.length === 1) el.append(h('div.inside', payload(bytes), facts(details(m))));
  });
  return h('li', el);
}

const day = (time) =>
  plainTime(time)?.toDateString() === new Date().toDateString()
    ? ''
    : `${new Date(time).toLocaleDateString('en', { month: 'short', day: 'numeric' })}, `;

// browser looks into what which() names; more are fields before the start.
export function browser(view, which, ...more) {
  let start = '900';
  let next = null;
  const items = h('ol.log', { 'aria-label': 'Messages', tabIndex: 0 });
  const box = h('div', empty('Look into the history', 'Choose where to begin.', { icon: 'streams' }));
  const note = h('span.quiet', { role: 'status' });
  const onward = button('Go on', { icon: 'next', hidden: true, onclick: () => read(false) });

  async function read(fresh) {
    if (fresh) {
      next = null;
      replace(items);
      replace(box, bones(3));
    }
    const from = next
      ? { from: next }
      : start === 'earliest'
        ? { from: 'earliest' }
        : { since: Math.floor(Date.now() / 1000 - Number(start)) };
    try {
      let page;
      let found = 0;
      let complete = true;
      let place = from;
      do {
        // a page may be empty before the end
        page = await get('history', { ...which(), ...place, limit: some }, { signal: view.signal });
        next = page.next;
        place = { from: next };
        found += page.data.length;
        complete = complete && page.complete;
        items.append(...page.data.map(message));
      } while (!found && !page.end);
      onward.hidden = page.end;
      note.replaceChildren(
        complete ? badge('complete', 'ok') : badge('may have gaps', 'warn'),
        ` ${count(items.children.length, 'message')}${page.end ? '' : ' so far'}`,
      );
      replace(
        box,
        items.children.length ? items : empty('Nothing is kept there', 'Choose an earlier time, or another filter.', { icon: 'streams' }),
      );
    } catch (err) {
      if (err.name !== 'AbortError')
        replace(
          box,
          failed(err, () => read(fresh)),
        );
    }
  }

  const form = h(
    'form.toolbar',
    {
      onsubmit: (e) => {
        e.preventDefault();
        read(true);
      },
    },
    more.map((el) => h('div.search', el)),
    choice('From', starts, start, (v) => {
      start = v;
      read(true);
    }),
    button('Look', { type: 'submit', primary: true }),
    note,
  );
  const el = h('section.card', { 'aria-label': 'History' }, h('div.body', form), box, h('footer', { class: 'row' }, onward));
  read(true);
  return { el };
}
