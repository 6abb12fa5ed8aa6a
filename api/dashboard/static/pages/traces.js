// Traces: what happens to a client, a topic or an address, written down for a while.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, post, put, remove, download, path } from '../lib/api.js';
import { bytes, number } from '../lib/format.js';
import { table } from '../ui/table.js';
import { formDialog } from '../ui/form.js';
import { dialog, ask } from '../ui/dialog.js';
import { done, wrong } from '../ui/toast.js';
import { head, button, iconButton, badge, when, tag } from '../ui/parts.js';

const kinds = [
  ['clientid', 'a client id'],
  ['topic', 'a topic filter'],
  ['ip_address', 'an IP address'],
];
const states = { running: 'ok', waiting: 'info', stopped: '' };
const size = (t) => Object.values(t.log_size ?? {}).reduce((a, b) => a + b, 0);

export async function show(view) {
  const grid = table({
    caption: 'Traces',
    key: (t) => t.name,
    columns: [
      {
        label: 'Trace',
        head: true,
        cell: (t) => h('button.button.plain.small', { type: 'button', class: 'cell-link', onclick: () => look(t) }, h('span.wrap', t.name)),
      },
      { label: 'Of', cell: (t) => [tag(t[t.type]), h('span.cell-sub', t.type.replace('_', ' '))] },
      { label: 'State', cell: (t) => badge(t.status, states[t.status]) },
      { label: 'From', cell: (t) => when(t.start_at) },
      { label: 'Until', cell: (t) => when(t.end_at) },
      {
        label: 'Log',
        num: true,
        cell: (t) => [
          bytes(size(t)),
          t.full && ' ',
          t.full && badge('full', 'warn'),
          t.lost > 0 && h('span.cell-sub', `${number(t.lost)} left out`),
        ],
      },
      {
        acts: true,
        cell: (t) => [
          iconButton('download', `Download ${t.name}`, {
            small: true,
            onclick: () => download(path`trace/${t.name}` + '/download', `${t.name}.zip`).catch(wrong),
          }),
          session.manages && t.status !== 'stopped' && iconButton('stop', `Stop ${t.name}`, { small: true, onclick: () => stop(t) }),
          session.manages && iconButton('trash', `Delete ${t.name}`, { small: true, danger: true, onclick: () => drop(t) }),
        ],
      },
    ],
    empty: [
      'No traces',
      'Start one to have everything written down that happens to a client, on a topic or from an address.',
      { icon: 'traces' },
    ],
  });
  const refresh = view.every(3000, async () => {
    try {
      grid.update(await get('trace', {}, { signal: view.signal }));
    } catch (err) {
      if (err.name !== 'AbortError') grid.fail(err, refresh);
    }
  });
  async function add() {
    if (
      await formDialog(
        'New trace',
        [
          { name: 'name', label: 'Name', required: true, mono: true, autofocus: true, hint: 'Letters, digits, - and _' },
          { name: 'type', label: 'Of', type: 'select', options: kinds, value: 'clientid', required: true },
          { name: 'what', label: 'Which', required: true, mono: true, wide: true },
          { name: 'minutes', label: 'For (minutes)', type: 'number', min: 1, value: 10, required: true },
          {
            name: 'payload_encode',
            label: 'Payloads',
            type: 'select',
            options: [
              ['hidden', 'left out'],
              ['text', 'as text'],
              ['hex', 'as bytes'],
            ],
            value: 'hidden',
            required: true,
          },
          {
            name: 'formatter',
            label: 'Written as',
            type: 'select',
            options: [
              ['text', 'text'],
              ['json', 'JSON'],
            ],
            value: 'text',
            required: true,
          },
        ],
        'Start',
        ({ what, minutes, ...v }) => post('trace', { ...v, [v.type]: what, end_at: Math.floor(Date.now() / 1000) + minutes * 60 }),
      )
    )
      refresh();
  }
  async function stop(t) {
    try {
      await put(path`trace/${t.name}` + '/stop');
      done(`${t.name} is stopped.`);
    } catch (err) {
      wrong(err);
    }
    refresh();
  }
  async function drop(t) {
    if (await ask('Delete the trace?', [h('strong', t.name), ' and its log are gone.'], 'Delete', () => remove(path`trace/${t.name}`)))
      refresh();
  }
  view.root.append(
    head('Traces', {
      about: 'Everything that happens to a client, on a topic or from an address, written down for a while.',
      actions: session.manages && button('New trace', { icon: 'plus', primary: true, onclick: add }),
    }),
    grid.el,
  );
}

// look shows the log of a trace, and goes on with it.
function look(t) {
  const text = h('pre.payload.trace-log', { tabIndex: 0, role: 'log', 'aria-live': 'off', 'aria-label': `Log of ${t.name}` });
  let position = 0;
  let timer;
  async function more() {
    try {
      const part = await get(path`trace/${t.name}` + '/log', { position, bytes: 65536 });
      if (part.items) {
        const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;
        text.append(part.items);
        if (text.textContent.length > 1 << 20) text.textContent = text.textContent.slice(-(1 << 19));
        if (atEnd) text.scrollTop = text.scrollHeight;
      }
      const further = part.meta.position > position;
      position = part.meta.position;
      timer = setTimeout(more, further ? 50 : 1500);
    } catch (err) {
      replace(text, err.message);
    }
  }
  more();
  return dialog(
    `Trace ${t.name}`,
    (close) => [
      h('div.dialog-body', text),
      h(
        'div.dialog-foot',
        button('Download', {
          icon: 'download',
          onclick: () => download(path`trace/${t.name}` + '/download', `${t.name}.zip`).catch(wrong),
        }),
        button('Close', { onclick: () => close() }),
      ),
    ],
    { wide: true },
  ).then(() => clearTimeout(timer));
}
