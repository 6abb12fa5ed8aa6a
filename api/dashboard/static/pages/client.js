// One client: what it is, what it gets, what waits for it.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, path } from '../lib/api.js';
import { link, go } from '../lib/router.js';
import { number, bytes, seconds, expiry, count } from '../lib/format.js';
import { disconnect } from '../lib/kick.js';
import { ban } from '../lib/ban.js';
import { table } from '../ui/table.js';
import { pendingList } from '../ui/pending.js';
import { head, facts, card, tabs, button, badge, dot, tag, when, failed, bones, empty } from '../ui/parts.js';
import { protocol } from './clients.js';

const retainHandling = ['sends retained', 'sends retained if new', 'sends no retained'];

export function subscriptionTable(caption) {
  return table({
    caption,
    key: (s) => s.topic,
    columns: [
      { label: 'Filter', head: true, cell: (s) => h('span.cell-id', s.topic) },
      { label: 'QoS', num: true, cell: (s) => s.qos },
      {
        label: 'Options',
        cell: (s) =>
          [s.nl ? badge('no local') : null, s.rap ? badge('retain as published') : null, s.rh ? badge(retainHandling[s.rh]) : null]
            .filter(Boolean)
            .flatMap((b) => [b, ' ']),
      },
      { label: 'Kept', cell: (s) => (s.durable ? badge('durable', 'accent') : h('span.quiet', 'temporary')) },
    ],
    empty: ['No subscriptions', 'The client gets nothing until it subscribes.', { icon: 'subscriptions' }],
  });
}

export async function show(view) {
  const id = view.parts[1];
  const about = h('div', bones());
  const title = h('div');
  const subs = subscriptionTable('Subscriptions');
  let there; // is it connected? undefined: not known yet
  replace(title, heading({ clientid: id }));
  const parts = tabs(
    'Of this client',
    [
      { id: 'subscriptions', label: 'Subscriptions', show: (p) => replace(p, subs.el) },
      {
        id: 'waiting',
        label: 'Waiting',
        show: (p) =>
          replace(
            p,
            h(
              'div.card',
              pendingList(view, id, 'mqueue_messages', [
                'Nothing waits',
                'The client has all that is for it, or is away without a durable session.',
                { icon: 'check' },
              ]),
            ),
          ),
      },
      {
        id: 'flight',
        label: 'In flight',
        show: (p) =>
          replace(
            p,
            h(
              'div.card',
              pendingList(view, id, 'inflight_messages', [
                'Nothing is in flight',
                'The client has acknowledged all that it was sent.',
                { icon: 'check' },
              ]),
            ),
          ),
      },
    ],
    view.query.tab,
    (tab) => view.setQuery({ tab }),
  );
  view.root.append(title, h('div.stack', about, parts));

  function heading(c) {
    return head(h('span.wrap', id), {
      crumb: [h('a', { href: link('clients') }, 'Clients'), ' / ', 'Client'],
      actions: session.manages &&
        c.created_at && [
          h('a.button', { href: link('explain', { clientid: id }) }, 'Explain'),
          button('Ban', { icon: 'bans', onclick: () => ban({ as: 'clientid', who: id }) }),
          button('Disconnect', {
            icon: 'close',
            danger: true,
            onclick: async () => {
              if (await disconnect(id)) go('clients');
            },
          }),
        ],
    });
  }

  view.every(3000, async () => {
    try {
      const [c, list] = await Promise.all([
        get(path`clients/${id}`, {}, { signal: view.signal }),
        get(path`clients/${id}/subscriptions`, {}, { signal: view.signal }),
      ]);
      if (there !== c.connected) replace(title, heading(c));
      there = c.connected;
      draw(c);
      subs.update(list);
    } catch (err) {
      if (err.name === 'AbortError') throw err;
      if (err.status === 404) {
        replace(title, heading({}));
        there = null;
        replace(
          about,
          h(
            'div.card',
            empty('This client has no session', 'It is not connected, and nothing is kept for it. The page goes on looking.', {
              icon: 'clients',
            }),
          ),
        );
        subs.update([]);
      } else replace(about, h('div.card', failed(err)));
    }
  });

  let drawn = '';
  function draw(c) {
    const text = JSON.stringify(c);
    if (text === drawn) return;
    drawn = text;
    replace(
      about,
      h(
        'div.grid.halves',
        card(
          'Connection',
          {},
          facts([
            ['State', h('span.row', dot(c.connected ? 'ok' : ''), c.connected ? 'Connected' : 'Away')],
            [c.connected ? 'Connected' : 'Disconnected', when(c.connected ? c.connected_at : c.disconnected_at)],
            ['Username', c.username],
            ['Address', c.ip_address && h('span.mono', c.port ? `${c.ip_address}:${c.port}` : c.ip_address)],
            ['Listener', c.listener],
            ['Protocol', c.proto_ver && `${c.proto_name} ${protocol(c)}`],
            ['Keep alive', c.connected && (c.keepalive ? seconds(c.keepalive) : 'off')],
            ['Mount point', c.mountpoint],
          ]),
        ),
        card(
          'Session',
          {},
          facts([
            ['Kept', c.durable ? badge('durable', 'accent') : 'as long as the connection'],
            ['Created', when(c.created_at)],
            ['Ends', expiry(c.expiry_interval) + (c.expiry_interval && c.expiry_interval !== 0xffffffff ? ' after the connection' : '')],
            ['Clean start', c.connected && (c.clean_start ? 'yes' : 'no')],
            ['Subscriptions', number(c.subscriptions_cnt)],
            ['In flight', `${number(c.inflight_cnt)} of ${number(c.inflight_max)}`],
            [
              'Waiting',
              c.mqueue_len ? [count(c.mqueue_len, 'message'), c.behind && ' or more'] : c.behind ? 'perhaps, in the log' : 'nothing',
            ],
            ['QoS 2 to be released', number(c.awaiting_rel_cnt)],
            [
              'Will',
              c.will && [
                tag(c.will.topic),
                ` QoS ${c.will.qos}, ${bytes(c.will.payload_size)}`,
                c.will.retain && ', retained',
                c.will.delay_interval > 0 && `, after ${seconds(c.will.delay_interval)}`,
              ],
            ],
          ]),
        ),
      ),
    );
  }
}
