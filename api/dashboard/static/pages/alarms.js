// Alarms: what is wrong now, and what was.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { remove } from '../lib/api.js';
import { seconds, words } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { head, tabs, button, when, badge, empty } from '../ui/parts.js';

const columns = (over) => [
  { label: 'Alarm', head: true, cell: (a) => [badge(words(a.name), over ? '' : 'danger')] },
  { label: 'What it says', wide: true, cell: (a) => h('div.cell-text', { title: a.message }, a.message) },
  { label: 'Since', cell: (a) => when(a.activate_at) },
  over && { label: 'Over', cell: (a) => when(a.deactivate_at) },
  { label: 'Lasted', num: true, cell: (a) => seconds(Math.round(a.duration / 1000)) },
];

export async function show(view) {
  let part = null;
  function fill(panel, over) {
    part?.end();
    part = view.part();
    const grid = table({
      caption: over ? 'Alarms that are over' : 'Active alarms',
      key: (a) => a.name + a.activate_at,
      columns: columns(over),
      empty: () =>
        over
          ? empty('No alarm was raised', 'Since the broker started everything was well.', { icon: 'check' })
          : empty('No alarms', 'Nothing is wrong that the broker knows of.', { icon: 'check' }),
    });
    const pages = pager((changes) => rows.change(changes));
    const forget =
      over &&
      session.manages &&
      button('Forget these', {
        icon: 'trash',
        onclick: async () => {
          if (await ask('Forget the alarms that are over?', 'Active alarms stay.', 'Forget', () => remove('alarms'))) {
            done('They are forgotten.');
            rows.refresh();
          }
        },
      });
    replace(panel, grid.el, pages.el, forget && h('div.row', forget));
    const rows = list(part, {
      to: 'alarms',
      parameters: () => ({ activated: !over }),
      every: 5000,
      show: (data, meta) => {
        grid.update(data);
        pages.update(meta);
      },
      fail: grid.fail,
    });
  }
  view.root.append(
    head('Alarms', { about: 'Conditions that somebody has to look at. An alarm ends by itself when its condition does.' }),
    tabs(
      'Alarms',
      [
        { id: 'now', label: 'Active', show: (p) => fill(p, false) },
        { id: 'over', label: 'History', show: (p) => fill(p, true) },
      ],
      view.query.tab,
      (tab) => view.setQuery({ tab, page: '' }),
    ),
  );
}
