// People: who can log in here.

import { h } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, post, put, remove, path } from '../lib/api.js';
import { table } from '../ui/table.js';
import { formDialog } from '../ui/form.js';
import { ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { head, button, iconButton, badge } from '../ui/parts.js';
import { roles } from './keys.js';

export async function show(view) {
  const grid = table({
    caption: 'People',
    key: (u) => u.username,
    columns: [
      {
        label: 'Username',
        head: true,
        cell: (u) => [h('span.wrap', u.username), ' ', u.username === session.username && badge('you', 'accent')],
      },
      { label: 'Role', cell: (u) => u.role },
      { label: 'About', cell: (u) => (u.backend === 'config' ? h('span.quiet', 'From the configuration (api.admin)') : u.description) },
      {
        acts: true,
        cell: (u) =>
          u.backend !== 'config' && [
            iconButton('edit', `Change ${u.username}`, { small: true, onclick: () => edit(u) }),
            u.username !== session.username &&
              iconButton('trash', `Delete ${u.username}`, { small: true, danger: true, onclick: () => drop(u) }),
          ],
      },
    ],
    empty: ['Nobody', 'Nobody can log in.', { icon: 'people' }],
  });
  const refresh = view.every(10000, async () => {
    try {
      grid.update(await get('users', {}, { signal: view.signal }));
    } catch (err) {
      if (err.name !== 'AbortError') grid.fail(err, refresh);
    }
  });
  const fields = (u) => [
    !u && { name: 'username', label: 'Username', required: true, autofocus: true },
    {
      name: 'password',
      label: u ? 'New password' : 'Password',
      type: 'password',
      required: !u,
      autocomplete: 'new-password',
      hint: u ? 'Empty: as it is' : '8 characters or more',
    },
    { name: 'role', label: 'Role', type: 'select', options: roles.slice(0, 3), value: u?.role ?? 'viewer', required: true, wide: true },
    { name: 'description', label: 'About', value: u?.description, keep: true, wide: true },
  ];
  async function add() {
    if (await formDialog('New person', fields(), 'Add', (v) => post('users', v))) refresh();
  }
  async function edit(u) {
    if (
      await formDialog(`Change ${u.username}`, fields(u), 'Save', (v) => put(path`users/${u.username}`, v), {
        note: 'They have to log in again.',
      })
    ) {
      done(`${u.username} is changed.`);
      refresh();
    }
  }
  async function drop(u) {
    if (
      await ask('Delete the user?', [h('strong', u.username), ' can no longer log in, and is logged out where they are.'], 'Delete', () =>
        remove(path`users/${u.username}`),
      )
    )
      refresh();
  }
  view.root.append(
    head('People', {
      about: 'Who can log in to this dashboard. MQTT clients have users of their own.',
      actions: button('New person', { icon: 'plus', primary: true, onclick: add }),
    }),
    grid.el,
  );
}
