// Configuration: every key as it is in effect, where it comes from, and which can change now.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, put } from '../lib/api.js';
import { number } from '../lib/format.js';
import { field } from '../ui/form.js';
import { dialog } from '../ui/dialog.js';
import { done } from '../ui/toast.js';
import { head, search, choice, button, badge, iconButton, empty, failed, bones } from '../ui/parts.js';

const shown = (v) =>
  v === null
    ? 'not set'
    : Array.isArray(v)
      ? v.length
        ? v.join(', ')
        : 'none'
      : v === ''
        ? '(empty)'
        : typeof v === 'object'
          ? JSON.stringify(v)
          : String(v);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export async function show(view) {
  const box = h('div', bones(8));
  const note = h('span.quiet', { role: 'status' });
  let all = [];

  function fits(s) {
    const text = (view.query.q ?? '').toLowerCase();
    const kind = view.query.show ?? '';
    return (
      (!text || s.key.toLowerCase().includes(text) || shown(s.value).toLowerCase().includes(text)) &&
      (!kind ||
        (kind === 'changed' && !same(s.value, s.default)) ||
        (kind === 'changeable' && s.changeable) ||
        (kind === 'live' && s.source === 'live'))
    );
  }
  function draw() {
    const some = all.filter(fits);
    note.textContent = `${number(some.length)} of ${number(all.length)} keys`;
    if (!some.length) return replace(box, h('div.card', empty('No key is like that', 'Change the search.', { icon: 'search' })));
    const sections = new Map();
    for (const s of some) {
      const name = s.key.includes('.') ? s.key.split('.')[0] : 'general';
      if (!sections.has(name)) sections.set(name, []);
      sections.get(name).push(s);
    }
    replace(
      box,
      h(
        'div.stack',
        [...sections].map(([name, list]) =>
          h('section.card', { 'aria-label': name }, h('header', h('h2.mono', name)), h('ul.settings', list.map(setting))),
        ),
      ),
    );
  }
  function setting(s) {
    return h(
      'li.setting',
      h('div', h('span.key', s.key)),
      h('div.value', shown(s.value), !same(s.value, s.default) && h('span.default', `Default: ${shown(s.default)}`)),
      h(
        'div.end.row',
        s.source !== 'default' && badge(s.source, s.source === 'live' ? 'accent' : 'info'),
        s.changeable
          ? session.manages && iconButton('edit', `Change ${s.key}`, { small: true, onclick: () => change(s) })
          : h('span.quiet', { title: 'It is read at the start only.' }, 'at start'),
      ),
    );
  }
  async function load() {
    try {
      all = (await get('config', {}, { signal: view.signal })).data;
      draw();
    } catch (err) {
      if (err.name !== 'AbortError') replace(box, h('div.card', failed(err, load)));
    }
  }
  async function change(s) {
    if (await changeDialog(s)) load();
  }
  view.root.append(
    head('Configuration', {
      about:
        'Every key as it is in effect, and where its value comes from. What can change while the broker runs is changed here, until the next start or for good.',
    }),
    h(
      'div.toolbar',
      search('A part of a key or a value', view.query.q, (q) => {
        view.setQuery({ q });
        draw();
      }),
      choice(
        'Show',
        [
          ['', 'All keys'],
          ['changed', 'Not at their default'],
          ['changeable', 'Those that can change now'],
          ['live', 'Those that were changed here'],
        ],
        view.query.show,
        (v) => {
          view.setQuery({ show: v });
          draw();
        },
      ),
      note,
    ),
    box,
  );
  await load();
}

function changeDialog(s) {
  return dialog(`Change ${s.key}`, (close) => {
    const example = s.value ?? s.default;
    const kind =
      typeof example === 'boolean' ? 'check' : typeof example === 'number' ? 'number' : Array.isArray(example) ? 'lines' : 'text';
    const value = field({
      name: 'value',
      label: kind === 'check' ? 'On' : 'Value',
      type: kind,
      value: s.value,
      keep: true,
      wide: true,
      autofocus: true,
      hint: `Default: ${shown(s.default)}`,
    });
    const persist = field({ name: 'persist', label: 'Keep it over restarts', type: 'check' });
    const error = h('div');
    const send = async (v) => {
      try {
        await put(`config${persist.read() ? '?persist=true' : ''}`, { [s.key]: v });
        done(v === null ? `${s.key} is as it was before.` : `${s.key} is changed.`);
        close(true);
      } catch (err) {
        replace(error, h('p.form-error', { role: 'alert' }, err.message));
      }
    };
    return h(
      'form',
      {
        onsubmit: (e) => {
          e.preventDefault();
          const v = value.read();
          send(Array.isArray(v) ? v.join(',') : (v ?? ''));
        },
      },
      h('div.dialog-body.stack', value.el, persist.el, error),
      h(
        'div.dialog-foot',
        s.source === 'live' && button('Take it back', { onclick: () => send(null) }),
        button('Cancel', { onclick: () => close() }),
        button('Change', { type: 'submit', primary: true }),
      ),
    );
  });
}
