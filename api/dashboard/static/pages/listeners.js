// Listeners: where clients connect.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, post, path } from '../lib/api.js';
import { number } from '../lib/format.js';
import { table } from '../ui/table.js';
import { dialog, ask } from '../ui/dialog.js';
import { done, wrong } from '../ui/toast.js';
import { head, iconButton, button, badge, dot, when, facts, bones, failed } from '../ui/parts.js';

const schemes = { tcp: 'TCP', tls: 'TLS', ws: 'WebSocket', wss: 'Secure WebSocket', unix: 'Unix socket', quic: 'QUIC' };

export async function show(view) {
  const grid = table({
    caption: 'Listeners',
    key: (l) => l.id,
    columns: [
      {
        label: 'Listener',
        head: true,
        cell: (l) => h('button.button.plain.small', { type: 'button', class: 'cell-link', onclick: () => look(l) }, h('span.wrap', l.name)),
      },
      { label: 'Type', cell: (l) => schemes[l.type] ?? l.type },
      { label: 'Address', cell: (l) => h('span.mono.wrap', l.bind) },
      { label: 'State', cell: (l) => h('span.row', dot(l.status.running ? 'ok' : 'danger'), l.status.running ? 'Open' : 'Stopped') },
      {
        label: 'Connections',
        num: true,
        cell: (l) => [
          number(l.status.current_connections),
          typeof l.status.max_connections === 'number' && h('span.quiet', ` of ${number(l.status.max_connections)}`),
        ],
      },
      session.manages && {
        acts: true,
        cell: (l) =>
          l.status.running
            ? [
                iconButton('restart', `Restart ${l.name}`, { small: true, onclick: () => act(l, 'restart', `${l.name} is open anew.`) }),
                iconButton('stop', `Stop ${l.name}`, { small: true, danger: true, onclick: () => stop(l) }),
              ]
            : [iconButton('play', `Start ${l.name}`, { small: true, onclick: () => act(l, 'start', `${l.name} is open.`) })],
      },
    ],
    empty: ['No listeners', 'The configuration has none.', { icon: 'listeners' }],
  });
  const refresh = view.every(5000, async () => {
    try {
      grid.update(await get('listeners', {}, { signal: view.signal }));
    } catch (err) {
      if (err.name !== 'AbortError') grid.fail(err, refresh);
    }
  });
  async function act(l, what, text) {
    try {
      await post(path`listeners/${l.id}` + `/${what}`);
      done(text);
    } catch (err) {
      wrong(err);
    }
    refresh();
  }
  async function stop(l) {
    if (
      await ask(
        'Stop the listener?',
        [
          'The connections that came by ',
          h('strong', l.name),
          ` (${l.bind}) end, and no client can connect there until it is started again. Sessions stay.`,
        ],
        'Stop',
        () => post(path`listeners/${l.id}` + '/stop'),
      )
    ) {
      done(`${l.name} is stopped.`);
      refresh();
    }
  }
  view.root.append(
    head('Listeners', {
      about:
        'Where clients connect. What is stopped here is open again when the broker starts; the configuration says which listeners there are.',
    }),
    grid.el,
  );
}

function look(l) {
  return dialog(
    `Listener ${l.name}`,
    (close) => {
      const body = h('div.dialog-body.stack', bones(4));
      get(path`listeners/${l.id}`).then(
        (d) =>
          replace(
            body,
            facts([
              ['Type', schemes[d.type] ?? d.type],
              ['Address', h('span.mono', d.bind)],
              ['Path', d.path],
              ['Mount point', d.mountpoint],
              ['PROXY protocol', d.proxy_protocol ? 'yes' : null],
              ['Open connections', number(d.current_connections)],
              ['At most', typeof d.max_connections === 'number' ? number(d.max_connections) : 'no limit'],
              ['Accepted', number(d.accepted)],
              ['Turned away', number(d.refused)],
              ['Failed handshakes', number(d.handshake_failures)],
              ['Failures to accept', number(d.accept_errors)],
            ]),
            d.certificates?.length > 0 &&
              h(
                'div.stack',
                h('h3', 'Certificates'),
                d.certificates.map((c) =>
                  h(
                    'div.secret',
                    h('code', c.names?.join(', ') || c.subject),
                    c.not_after ? h('span', 'ends ', when(c.not_after)) : badge('unknown'),
                  ),
                ),
              ),
          ),
        (err) => replace(body, failed(err)),
      );
      return [body, h('div.dialog-foot', button('Close', { onclick: () => close() }))];
    },
    { wide: true },
  );
}
