// Bans: who is kept out.

import { h, debounce } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { remove, path } from '../lib/api.js';
import { list } from '../lib/refresh.js';
import { ban, kinds } from '../lib/ban.js';
import { table, pager } from '../ui/table.js';
import { ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { head, button, iconButton, choice, badge, when, empty } from '../ui/parts.js';

const names = Object.fromEntries(kinds);

export async function show(view) {
  const grid = table({
    caption: 'Bans',
    key: (b) => `${b.as}\n${b.who}`,
    columns: [
      { label: 'Who', head: true, cell: (b) => h('span.cell-id', b.who) },
      { label: 'By', cell: (b) => badge(names[b.as] ?? b.as) },
      { label: 'Reason', wide: true, cell: (b) => b.reason && h('span.wrap', b.reason) },
      { label: 'Banned', cell: (b) => [when(b.at), b.by && h('span.cell-sub', `by ${b.by}`)] },
      { label: 'Until', cell: (b) => when(b.until, 'for good') },
      session.manages && {
        acts: true,
        cell: (b) => iconButton('trash', `End the ban of ${b.who}`, { small: true, danger: true, onclick: () => drop(b) }),
      },
    ],
    empty: () =>
      view.query.as
        ? empty('No ban of that kind', 'Choose another.', { icon: 'search' })
        : empty('Nobody is banned', 'Ban a client id, a username, an address or a network to keep it out.', { icon: 'bans' }),
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'banned',
    parameters: (q) => ({ as: q.as }),
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  async function drop(b) {
    if (
      await ask(
        'End the ban?',
        [h('strong.wrap', b.who), ' can connect again.'],
        'End the ban',
        () => remove(path`banned/${b.as}/${b.who}`),
        { danger: false },
      )
    ) {
      done(`The ban of ${b.who} is over.`);
      rows.refresh();
    }
  }
  view.root.append(
    head('Bans', {
      about: 'Who is kept out, by client id, username or address.',
      actions:
        session.manages &&
        button('Ban', {
          icon: 'bans',
          primary: true,
          onclick: async () => {
            if (await ban()) rows.refresh();
          },
        }),
    }),
    h(
      'div.toolbar',
      choice(
        'Kind',
        [['', 'Every kind'], ...kinds],
        view.query.as,
        debounce((v) => rows.change({ as: v }), 0),
      ),
    ),
    grid.el,
    pages.el,
  );
}
