// Users and rules of MQTT clients, as far as the broker keeps them itself.

import { h, replace, debounce } from '../lib/dom.js';
import { get, post, put, remove, path } from '../lib/api.js';
import { session } from '../lib/session.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { formDialog } from '../ui/form.js';
import { ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { ruleList, editRules } from '../ui/rules.js';
import { head, tabs, search, button, iconButton, badge, tag, bones, failed, empty } from '../ui/parts.js';

const users = 'authentication/password_based:built_in_database/users';
const rules = 'authorization/sources/built_in_database/rules';

// Whose rules there are: the part of the path, the name of the key.
const owners = [
  ['users', 'username', 'Users'],
  ['clients', 'clientid', 'Clients'],
  ['roles', 'role', 'Roles'],
];

export async function show(view) {
  let part = null;
  const fresh = () => {
    part?.end();
    part = view.part();
    return part;
  };
  view.root.append(
    head('Users and rules', {
      about: [
        'Who may connect, and what they may publish and subscribe to, as far as the broker keeps it itself. Users are in effect with ',
        h('code', 'auth.built_in.users'),
        ', rules with ',
        h('code', 'auth.built_in.rules'),
        '; files, tokens and servers are asked besides.',
      ],
    }),
    tabs(
      'Kind',
      [
        { id: 'accounts', label: 'Users', show: (p) => showUsers(fresh(), p) },
        { id: 'all', label: 'Rules for everybody', show: (p) => showAll(fresh(), p) },
        ...owners.map(([id, key, label]) => ({
          id,
          label: `Rules of ${label.toLowerCase()}`,
          show: (p) => showOwners(fresh(), p, id, key),
        })),
      ],
      view.query.tab,
      (tab) => view.setQuery({ tab, page: '', q: '' }),
    ),
  );
}

function showUsers(view, panel) {
  const grid = table({
    caption: 'Users',
    key: (u) => u.user_id,
    columns: [
      { label: 'User', head: true, cell: (u) => [h('span.wrap', u.user_id), ' ', u.is_superuser && badge('superuser', 'warn')] },
      { label: 'Roles', cell: (u) => u.roles?.map((r) => [tag(r), ' ']).flat() },
      session.manages && {
        acts: true,
        cell: (u) => [
          iconButton('edit', `Change ${u.user_id}`, { small: true, onclick: () => edit(u) }),
          iconButton('trash', `Delete ${u.user_id}`, { small: true, danger: true, onclick: () => drop(u) }),
        ],
      },
    ],
    empty: () =>
      view.query.q
        ? empty('No user is called that', 'Change the search.', { icon: 'search' })
        : empty('No users', 'Add one, and a client can log in with its name and password.', { icon: 'people' }),
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: users,
    every: 10000,
    parameters: (q) => ({ like_user_id: q.q }),
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  const fields = (u) => [
    !u && { name: 'user_id', label: 'Username', required: true, autofocus: true },
    {
      name: 'password',
      label: u ? 'New password' : 'Password',
      type: 'password',
      required: !u,
      autocomplete: 'new-password',
      hint: u ? 'Empty: as it is' : null,
    },
    {
      name: 'roles',
      label: 'Roles',
      type: 'lines',
      value: u?.roles,
      rows: 2,
      hint: 'One a line; rules can be given to a role',
      wide: true,
    },
    { name: 'is_superuser', label: 'Superuser: every topic, whatever the rules say', type: 'check', value: u?.is_superuser, wide: true },
  ];
  async function add() {
    if (await formDialog('New user', fields(), 'Add', (v) => post(users, v))) rows.refresh();
  }
  async function edit(u) {
    if (
      await formDialog(`Change ${u.user_id}`, fields(u), 'Save', (v) => put(users + path`/${u.user_id}`, v), {
        note: 'Clients that are connected stay so.',
      })
    ) {
      done(`${u.user_id} is changed.`);
      rows.refresh();
    }
  }
  async function drop(u) {
    if (
      await ask(
        'Delete the user?',
        [h('strong', u.user_id), ' can no longer connect with a password. Clients that are connected stay so.'],
        'Delete',
        () => remove(users + path`/${u.user_id}`),
      )
    )
      rows.refresh();
  }
  const later = debounce((v) => rows.change({ q: v }));
  replace(
    panel,
    h(
      'div.toolbar',
      search('Username', view.query.q, later),
      session.manages && h('span.push', button('New user', { icon: 'plus', primary: true, onclick: add })),
    ),
    grid.el,
    pages.el,
  );
}

function showAll(view, panel) {
  const box = h('div', bones());
  replace(panel, box);
  const draw = async () => {
    try {
      const { rules: all } = await get(`${rules}/all`, {}, { signal: view.signal });
      replace(
        box,
        h(
          'div.card',
          h(
            'div.body.stack',
            all.length
              ? ruleList(all)
              : empty(
                  'No rules for everybody',
                  'Add some, and they hold for each client that no rule of its own, its user or its roles decides for.',
                  { icon: 'rules' },
                ),
            session.manages &&
              h(
                'div.row',
                button('Change the rules', {
                  icon: 'edit',
                  onclick: async () => {
                    if (await editRules('Rules for everybody', all, (list) => post(`${rules}/all`, { rules: list }))) draw();
                  },
                }),
              ),
          ),
        ),
      );
    } catch (err) {
      if (err.name !== 'AbortError') replace(box, h('div.card', failed(err, draw)));
    }
  };
  draw();
}

function showOwners(view, panel, kind, key) {
  const grid = table({
    caption: `Rules of ${kind}`,
    key: (o) => o[key],
    columns: [
      { label: { username: 'User', clientid: 'Client', role: 'Role' }[key], head: true, cell: (o) => h('span.cell-id', o[key]) },
      { label: 'Rules, the first that fits decides', wide: true, cell: (o) => ruleList(o.rules) },
      session.manages && {
        acts: true,
        cell: (o) => [
          iconButton('edit', `Change the rules of ${o[key]}`, { small: true, onclick: () => edit(o) }),
          iconButton('trash', `Delete the rules of ${o[key]}`, { small: true, danger: true, onclick: () => drop(o) }),
        ],
      },
    ],
    empty: () =>
      view.query.q
        ? empty('Nobody is called that', 'Change the search.', { icon: 'search' })
        : empty('No rules here', `No rules are kept for single ${kind}.`, { icon: 'rules' }),
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: `${rules}/${kind}`,
    every: 10000,
    parameters: (q) => ({ [`like_${key}`]: q.q }),
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  const save = (name, all) => put(`${rules}/${kind}` + path`/${name}`, { rules: all });
  async function add() {
    if (
      await editRules('New rules', [], (all, name) => save(name, all), {
        of: { username: 'Username', clientid: 'Client id', role: 'Role' }[key],
      })
    )
      rows.refresh();
  }
  async function edit(o) {
    if (await editRules(`Rules of ${o[key]}`, o.rules, (all) => save(o[key], all))) {
      done('The rules are in effect.');
      rows.refresh();
    }
  }
  async function drop(o) {
    if (
      await ask('Delete the rules?', ['For ', h('strong.wrap', o[key]), ' only the other rules hold then, at once.'], 'Delete', () =>
        remove(`${rules}/${kind}` + path`/${o[key]}`),
      )
    )
      rows.refresh();
  }
  const later = debounce((v) => rows.change({ q: v }));
  replace(
    panel,
    h(
      'div.toolbar',
      search({ username: 'Username', clientid: 'Client id', role: 'Role' }[key], view.query.q, later),
      session.manages && h('span.push', button('New rules', { icon: 'plus', primary: true, onclick: add })),
    ),
    grid.el,
    pages.el,
  );
}
