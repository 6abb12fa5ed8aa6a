// API keys: credentials for programs.

import { h } from '../lib/dom.js';
import { get, post, put, remove, path } from '../lib/api.js';
import { table } from '../ui/table.js';
import { formDialog } from '../ui/form.js';
import { dialog, ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { head, button, iconButton, badge, when, copyButton } from '../ui/parts.js';

export const roles = [
  ['administrator', 'Administrator: everything'],
  ['viewer', 'Viewer: looks, changes nothing'],
  ['publisher', 'Publisher: looks and publishes'],
  ['client', 'Client: publishes and consumes under its own topic rules'],
];

export async function show(view) {
  const grid = table({
    caption: 'API keys',
    key: (k) => k.name,
    columns: [
      { label: 'Name', head: true, cell: (k) => [h('span.wrap', k.name), k.desc && h('span.cell-sub', k.desc)] },
      { label: 'Key', cell: (k) => h('span.cell-id', k.api_key) },
      {
        label: 'Role',
        cell: (k) => [
          k.role,
          k.topics &&
            h('span.cell-sub', [...(k.topics.publish ?? []).map((t) => `→ ${t} `), ...(k.topics.consume ?? []).map((t) => `← ${t} `)]),
        ],
      },
      { label: 'State', cell: (k) => (!k.enable ? badge('off', 'warn') : k.expired ? badge('expired', 'danger') : badge('on', 'ok')) },
      { label: 'Ends', cell: (k) => when(k.expired_at, 'never') },
      { label: 'Made', cell: (k) => when(k.created_at) },
      {
        acts: true,
        cell: (k) => [
          iconButton('edit', `Change ${k.name}`, { small: true, onclick: () => edit(k) }),
          iconButton('trash', `Delete ${k.name}`, { small: true, danger: true, onclick: () => drop(k) }),
        ],
      },
    ],
    empty: ['No API keys', 'A key lets a program use the API: scripts, exporters, applications.', { icon: 'keys' }],
  });
  const refresh = view.every(10000, async () => {
    try {
      grid.update(await get('api_key', {}, { signal: view.signal }));
    } catch (err) {
      if (err.name !== 'AbortError') grid.fail(err, refresh);
    }
  });

  const fields = (k = {}) => [
    !k.name && { name: 'name', label: 'Name', required: true, autofocus: true },
    { name: 'desc', label: 'What it is for', value: k.desc, keep: true },
    { name: 'role', label: 'Role', type: 'select', options: roles, value: k.role ?? 'viewer', required: true, wide: true },
    {
      name: 'expired_at',
      label: 'Ends',
      type: 'time',
      value: k.expired_at && k.expired_at !== 'infinity' ? local(k.expired_at) : '',
      hint: 'Empty: never',
    },
    {
      name: 'publish',
      label: 'May publish to',
      type: 'lines',
      value: k.topics?.publish,
      hint: 'Role client only. A topic filter a line; %n is the name of the key.',
      rows: 2,
    },
    { name: 'consume', label: 'May consume', type: 'lines', value: k.topics?.consume, hint: 'Role client only.', rows: 2 },
    { name: 'enable', label: 'On', type: 'check', value: k.enable ?? true },
  ];
  function input({ publish, consume, ...v }) {
    v.expired_at ??= 'infinity';
    if (v.role === 'client') v.topics = { publish, consume };
    return v;
  }
  async function add() {
    const made = await formDialog('New API key', fields(), 'Create', (v) => post('api_key', input(v)));
    if (!made) return;
    refresh();
    await dialog(
      'The secret, shown this once',
      (close) => [
        h(
          'div.dialog-body.stack',
          h('p', 'Keep it now: the broker has only a hash of it.'),
          h('div', h('div.quiet', 'Key'), h('div.secret', h('code', made.api_key), copyButton(made.api_key, 'Copy the key'))),
          h('div', h('div.quiet', 'Secret'), h('div.secret', h('code', made.api_secret), copyButton(made.api_secret, 'Copy the secret'))),
          h(
            'div',
            h('div.quiet', 'Try it'),
            h(
              'div.secret',
              h('code', `curl -u '${made.api_key}:${made.api_secret}' ${location.origin}/api/v5/clients`),
              copyButton(`curl -u '${made.api_key}:${made.api_secret}' ${location.origin}/api/v5/clients`),
            ),
          ),
        ),
        h('div.dialog-foot', button('I have kept it', { primary: true, onclick: () => close() })),
      ],
      { fixed: true },
    );
  }
  async function edit(k) {
    if (await formDialog(`Change ${k.name}`, fields(k), 'Save', (v) => put(path`api_key/${k.name}`, input(v)))) {
      done(`${k.name} is changed.`);
      refresh();
    }
  }
  async function drop(k) {
    if (
      await ask('Delete the API key?', ['Whoever uses ', h('strong', k.name), ' is refused from now on.'], 'Delete', () =>
        remove(path`api_key/${k.name}`),
      )
    ) {
      done(`${k.name} is deleted.`);
      refresh();
    }
  }
  view.root.append(
    head('API keys', {
      about: 'Credentials for programs. A key has a role, and its secret is shown once.',
      actions: button('New key', { icon: 'plus', primary: true, onclick: add }),
    }),
    grid.el,
  );
}

// local is a time as an input of a date and time wants it.
function local(iso) {
  const d = new Date(iso);
  return new Date(d.getTime() - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
