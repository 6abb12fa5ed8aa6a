// Clients: every session, connected or not.

import { h, debounce } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { link } from '../lib/router.js';
import { number } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { disconnect, disconnectMany } from '../lib/kick.js';
import { table, pager } from '../ui/table.js';
import { head, search, choice, iconButton, button, badge, dot, when, empty } from '../ui/parts.js';

export const protocol = (c) => ({ 3: '3.1', 4: '3.1.1', 5: '5.0' })[c.proto_ver] ?? '';

export async function show(view) {
  const picked = new Set();
  const bulk = button('Disconnect', {
    danger: true,
    small: true,
    hidden: true,
    onclick: async () => {
      if (await disconnectMany([...picked])) {
        picked.clear();
        toggle();
        rows.refresh();
      }
    },
  });
  function toggle() {
    bulk.hidden = picked.size === 0;
    bulk.textContent = `Disconnect ${number(picked.size)}`;
  }
  const pick = (c) =>
    h('input', {
      type: 'checkbox',
      checked: picked.has(c.clientid),
      'aria-label': `Choose ${c.clientid}`,
      onchange: (e) => {
        if (e.target.checked) picked.add(c.clientid);
        else picked.delete(c.clientid);
        toggle();
      },
    });

  const filtered = () => ['q', 'user', 'ip', 'state', 'version'].some((k) => view.query[k]);
  const grid = table({
    caption: 'Clients',
    key: (c) => c.clientid,
    columns: [
      session.manages && { pick: true, label: 'Chosen', headCell: h('span.hide', 'Chosen'), cell: pick },
      {
        label: 'Client',
        head: true,
        cell: (c) => [h('a.cell-id', { href: link('clients', c.clientid) }, c.clientid), c.username && h('span.cell-sub', c.username)],
      },
      { label: 'State', cell: (c) => h('span.row', dot(c.connected ? 'ok' : ''), c.connected ? 'Connected' : 'Away') },
      { label: 'Since', cell: (c) => when(c.connected ? c.connected_at : c.disconnected_at) },
      { label: 'Address', cell: (c) => c.ip_address && h('span.mono', { title: c.port ? `Port ${c.port}` : '' }, c.ip_address) },
      { label: 'Protocol', cell: (c) => c.connected && h('span.line', `${protocol(c)} · ${c.listener ?? ''}`) },
      { label: 'Session', cell: (c) => (c.durable ? badge('durable', 'accent') : h('span.quiet', 'temporary')) },
      { label: 'Subscriptions', num: true, cell: (c) => c.subscriptions_cnt },
      { label: 'Waiting', num: true, cell: (c) => c.mqueue_len + c.inflight_cnt },
      session.manages && {
        label: 'Actions',
        acts: true,
        cell: (c) =>
          iconButton('close', `Disconnect ${c.clientid}`, {
            small: true,
            danger: true,
            onclick: async () => {
              if (await disconnect(c.clientid)) rows.refresh();
            },
          }),
      },
    ],
    empty: () =>
      filtered()
        ? empty('No client is like that', 'Change the search or the filters.', { icon: 'search' })
        : empty(
            'No clients yet',
            h('span', 'Connect one, for example with ', h('code', 'barid sub -v -t "#"'), ', or use the live client.'),
            { icon: 'clients' },
          ),
  });
  const pages = pager((changes) => rows.change({ page: 1, ...changes }));
  const rows = list(view, {
    to: 'clients',
    parameters: (q) => ({ like_clientid: q.q, like_username: q.user, ip_address: q.ip, conn_state: q.state, proto_ver: q.version }),
    show: (data, meta) => {
      for (const id of picked) if (!data.some((c) => c.clientid === id)) picked.delete(id);
      toggle();
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  const later = debounce((name, v) => rows.change({ [name]: v }));
  const word = (name, label) =>
    h('input.input', {
      type: 'search',
      'aria-label': label,
      placeholder: label,
      value: view.query[name] ?? '',
      autocomplete: 'off',
      oninput: (e) => later(name, e.target.value.trim()),
    });
  view.root.append(
    head('Clients', {
      about: 'Every session that the broker has: of clients that are connected, and of those that are away and may come back.',
    }),
    h(
      'div.toolbar',
      search('Client id', view.query.q, (v) => later('q', v)),
      h('div.word', word('user', 'Username')),
      h('div.word', word('ip', 'IP address')),
      choice(
        'State',
        [
          ['', 'Any state'],
          ['connected', 'Connected'],
          ['disconnected', 'Away'],
        ],
        view.query.state,
        (v) => rows.change({ state: v }),
      ),
      choice(
        'Protocol',
        [
          ['', 'Any protocol'],
          [5, 'MQTT 5.0'],
          [4, 'MQTT 3.1.1'],
          [3, 'MQTT 3.1'],
        ],
        view.query.version,
        (v) => rows.change({ version: v }),
      ),
      session.manages && h('span.push', bulk),
    ),
    grid.el,
    pages.el,
  );
}
