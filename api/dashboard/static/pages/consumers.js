// Consumers: named cursors that are read over HTTP, or pushed to a URL.

import { h } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { put, remove, path } from '../lib/api.js';
import { link } from '../lib/router.js';
import { number } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { formDialog } from '../ui/form.js';
import { dialog, ask } from '../ui/dialog.js';
import { head, button, iconButton, badge, tag, when, copyButton } from '../ui/parts.js';

export const lag = (c) => `${c.lag_exact ? '' : 'over '}${number(c.lag)}`;

// shownOnce shows a secret that the broker made up. Nobody can ask for it again.
const shownOnce = (secret) =>
  dialog(
    'The secret, shown this once',
    (close) => [
      h(
        'div.dialog-body.stack',
        h('p', 'Whoever gets what is pushed checks the header Barid-Signature with it. It is not shown again.'),
        h('div.secret', h('code', secret), copyButton(secret, 'Copy the secret')),
      ),
      h('div.dialog-foot', button('I have kept it', { primary: true, onclick: () => close() })),
    ],
    { fixed: true },
  );

export async function show(view) {
  const grid = table({
    caption: 'Consumers',
    key: (c) => c.name,
    columns: [
      {
        label: 'Consumer',
        head: true,
        cell: (c) => [h('a.cell-id', { href: link('consumers', c.name) }, c.name), c.owner && h('span.cell-sub', `of ${c.owner}`)],
      },
      { label: 'Filters', cell: (c) => c.filters.map((f) => [tag(f), ' ']).flat() },
      { label: 'Read', cell: (c) => (c.push ? badge('push', 'accent') : badge('poll')) },
      { label: 'Lag', num: true, cell: lag },
      { label: 'In flight', num: true, cell: (c) => c.in_flight },
      { label: 'Given again', num: true, cell: (c) => c.redelivered },
      { label: 'Made', cell: (c) => when(c.created_at) },
      session.manages && {
        acts: true,
        cell: (c) => iconButton('trash', `Delete ${c.name}`, { small: true, danger: true, onclick: () => drop(c, rows.refresh) }),
      },
    ],
    empty: [
      'No consumers',
      'A consumer keeps a place in the messages of its filters. Programs poll it over HTTP and acknowledge, or it posts to a URL.',
      { icon: 'consumers' },
    ],
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'consumers',
    show: (data, meta) => {
      grid.update(data);
      if (meta) pages.update(meta);
    },
    fail: grid.fail,
  });
  async function add() {
    const made = await formDialog(
      'New consumer',
      [
        { name: 'name', label: 'Name', required: true, mono: true, autofocus: true },
        {
          name: 'start',
          label: 'Begins',
          type: 'select',
          options: [
            ['new', 'with what comes from now on'],
            ['earliest', 'with the oldest that is kept'],
          ],
          value: 'new',
          required: true,
        },
        { name: 'filters', label: 'Topic filters', type: 'lines', required: true, rows: 3, hint: 'One a line', wide: true },
        {
          name: 'ack_wait_seconds',
          label: 'Time to acknowledge (seconds)',
          type: 'number',
          min: 1,
          value: 30,
          hint: 'Then a message is given again',
        },
        { name: 'max_deliver', label: 'Give at most (times)', type: 'number', min: 0, value: 0, hint: '0: until it is acknowledged' },
        { name: 'dead_letter_topic', label: 'Topic for what was given too often', mono: true },
        { name: 'idle_expiry_seconds', label: 'Ends when unused for (seconds)', type: 'number', min: 0, value: 0, hint: '0: never' },
        { name: 'url', label: 'Push to URL', type: 'url', hint: 'Empty: programs poll', wide: true },
        {
          name: 'secret',
          label: 'Secret that signs what is pushed',
          type: 'password',
          autocomplete: 'new-password',
          hint: 'Empty: one is made up, and shown once',
          wide: true,
        },
      ],
      'Create',
      ({ name, url, secret, ...v }) =>
        put(path`consumers/${name}`, { ...v, ...(url ? { push: { url, ...(secret ? { secret } : {}) } } : {}) }),
    );
    if (!made) return;
    rows.refresh();
    if (made.push?.secret) await shownOnce(made.push.secret);
  }
  view.root.append(
    head('Consumers', {
      about: 'Messages over HTTP: each consumer is a durable place in what its filters match, shared by all that poll it.',
      actions: session.manages && button('New consumer', { icon: 'plus', primary: true, onclick: add }),
    }),
    grid.el,
    pages.el,
  );
}

// drop deletes a consumer, after asking.
export async function drop(c, after) {
  if (
    await ask(
      'Delete the consumer?',
      [h('strong.wrap', c.name), ` loses its place${c.lag ? ` and the ${lag(c)} messages that wait for it` : ''}.`],
      'Delete',
      () => remove(path`consumers/${c.name}`),
    )
  )
    after();
}
