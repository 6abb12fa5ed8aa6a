// Shared groups: who shares a subscription, and how far they are behind.

import { h } from '../lib/dom.js';
import { link } from '../lib/router.js';
import { number, words, count } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { head, badge, dot } from '../ui/parts.js';

export async function show(view) {
  const grid = table({
    caption: 'Shared groups',
    key: (g) => `${g.name}\n${g.filter}`,
    columns: [
      { label: 'Group', head: true, cell: (g) => [h('span.wrap', g.name), h('span.cell-sub', h('span.cell-id', g.filter))] },
      { label: 'Gives', cell: (g) => words(g.strategy) },
      {
        label: 'Kept',
        cell: (g) => [
          g.durable ? badge('durable', 'accent') : h('span.quiet', 'temporary'),
          g.declared && ' ',
          g.declared && badge('declared'),
        ],
      },
      {
        label: 'Lag',
        num: true,
        cell: (g) => (g.lag || !g.lag_exact ? badge(`${g.lag_exact ? '' : 'over '}${number(g.lag)}`, g.lag > 1000 ? 'warn' : '') : '0'),
      },
      { label: 'Members', cell: (g) => members(g) },
    ],
    empty: [
      'No shared groups',
      h('span', 'A client that subscribes to ', h('code', '$share/group/filter'), ' shares the messages with the others of its group.'),
      { icon: 'groups' },
    ],
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'groups',
    every: 3000,
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  view.root.append(
    head('Shared groups', {
      about:
        'Clients that share a subscription: each message goes to one member. The lag is what a group has to give and nobody has taken yet.',
    }),
    grid.el,
    pages.el,
  );
}

const seen = 5;

function members(g) {
  if (!g.members.length) return h('span.quiet', 'nobody');
  const line = (m) =>
    h(
      'li.row',
      dot(m.connected === false ? '' : 'ok'),
      h('a.cell-id', { href: link('clients', m.clientid) }, m.clientid),
      m.inflight > 0 && h('span.quiet', `${number(m.inflight)} in flight`),
    );
  const rest = g.members.slice(seen);
  return [
    h('ul', g.members.slice(0, seen).map(line)),
    rest.length > 0 && h('details', h('summary.quiet', `${count(rest.length, 'more member')}`), h('ul', rest.map(line))),
  ];
}
