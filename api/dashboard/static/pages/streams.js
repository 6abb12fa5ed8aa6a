// Streams: named histories of what their filters match.

import { h } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { put, remove, path } from '../lib/api.js';
import { link } from '../lib/router.js';
import { number, bytes, seconds } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { formDialog } from '../ui/form.js';
import { ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { head, button, iconButton, badge, tag } from '../ui/parts.js';

// kept says for how long and how much a stream keeps.
export function kept(s) {
  const limits = [
    s.keep_seconds && seconds(s.keep_seconds),
    s.keep_bytes && bytes(s.keep_bytes),
    s.last_value && 'the last of each topic',
  ].filter(Boolean);
  return limits.length ? limits.join(', ') : 'everything';
}

export async function show(view) {
  const grid = table({
    caption: 'Streams',
    key: (s) => s.name,
    columns: [
      { label: 'Stream', head: true, cell: (s) => h('a.cell-id', { href: link('streams', s.name) }, s.name) },
      { label: 'Filters', cell: (s) => s.filters.map((f) => [tag(f), ' ']).flat() },
      { label: 'Keeps', cell: kept },
      { label: 'Messages', num: true, cell: (s) => s.messages },
      { label: 'Size', num: true, cell: (s) => bytes(s.bytes) },
      { label: 'Declared', cell: (s) => (s.source === 'config' ? badge('configuration') : badge('here', 'accent')) },
      {
        acts: true,
        cell: (s) => [
          session.manages && s.source !== 'config' && iconButton('edit', `Change ${s.name}`, { small: true, onclick: () => edit(s) }),
          session.manages &&
            s.source !== 'config' &&
            iconButton('trash', `Delete ${s.name}`, { small: true, danger: true, onclick: () => drop(s) }),
        ],
      },
    ],
    empty: ['No streams', 'A stream keeps a history of all that its filters match, to be read from any point later.', { icon: 'streams' }],
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'streams',
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  const fields = (s) => [
    !s && { name: 'name', label: 'Name', required: true, mono: true, autofocus: true, hint: 'a to z, 0 to 9, - and _' },
    { name: 'filters', label: 'Topic filters', type: 'lines', value: s?.filters, required: true, hint: 'One a line', rows: 3, wide: true },
    {
      name: 'keep_seconds',
      label: 'Keep for (seconds)',
      type: 'number',
      min: 0,
      value: s?.keep_seconds ?? 86400,
      hint: '0: no limit of age',
    },
    { name: 'keep_bytes', label: 'Keep at most (bytes)', type: 'number', min: 0, value: s?.keep_bytes ?? 0, hint: '0: no limit of size' },
    { name: 'last_value', label: 'Only the last message of each topic', type: 'check', value: s?.last_value, wide: true },
  ];
  async function add() {
    if (
      await formDialog('New stream', fields(), 'Declare', ({ name, ...v }) => put(path`streams/${name}`, v), {
        note: 'Its history begins now.',
      })
    )
      rows.refresh();
  }
  async function edit(s) {
    if (await formDialog(`Change ${s.name}`, fields(s), 'Save', (v) => put(path`streams/${s.name}`, v))) {
      done(`${s.name} is changed.`);
      rows.refresh();
    }
  }
  async function drop(s) {
    if (
      await ask(
        'Delete the stream?',
        [h('strong', s.name), ` and its history of ${number(s.messages)} messages are gone. This cannot be undone.`],
        'Delete',
        () => remove(path`streams/${s.name}`),
      )
    )
      rows.refresh();
  }
  view.root.append(
    head('Streams', {
      about: [
        'Named histories. Read one with ',
        h('code', '$stream/<name>'),
        ', share it out among workers with ',
        h('code', '$queue/<name>'),
        ', or look into it here.',
      ],
      actions: [
        h('a.button', { href: link('history') }, 'History of any filter'),
        session.manages && button('New stream', { icon: 'plus', primary: true, onclick: add }),
      ],
    }),
    grid.el,
    pages.el,
  );
}
