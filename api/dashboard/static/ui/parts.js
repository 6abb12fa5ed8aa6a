// Small parts that every page uses.

import { h, replace, newId } from '../lib/dom.js';
import { ago, absolute, plainTime } from '../lib/format.js';
import { icon } from './icons.js';

// button('Save', {icon, primary, danger, small, plain, onclick, …})
export function button(text, { icon: name, primary, danger, small, plain, full, ...more } = {}) {
  return h(
    'button.button',
    {
      type: 'button',
      class: [primary && 'primary', danger && 'danger', small && 'small', plain && 'plain', full && 'full'].filter(Boolean).join(' '),
      ...more,
    },
    name && icon(name, small ? 15 : 17),
    text,
  );
}

// iconButton is a button without words; label says what it does.
export function iconButton(name, label, { danger, small, ...more } = {}) {
  return h(
    'button.icon-button',
    { type: 'button', title: label, 'aria-label': label, class: [danger && 'danger', small && 'small'].filter(Boolean).join(' '), ...more },
    icon(name, small ? 16 : 18),
  );
}

export const badge = (text, kind = '') => h('span.badge', { class: kind }, text);

export const dot = (kind) => h('span.dot', { class: kind, 'aria-hidden': 'true' });

export const tag = (text) => h('span.tag', text);

// when shows a time as how long ago it was; the rest is in its title. It goes on with the clock.
export function when(value, none = '–') {
  const time = plainTime(value);
  if (!time) return h('span.quiet', none);
  return h('time', { dateTime: time.toISOString(), title: absolute(time), dataset: { ago: '' } }, ago(time));
}

setInterval(() => {
  for (const el of document.querySelectorAll('time[data-ago]')) el.textContent = ago(el.dateTime);
}, 5000);

// facts lists names and values; those without a value are left out.
export function facts(pairs) {
  return h(
    'dl.facts',
    pairs
      .filter((p) => p && p[1] !== null && p[1] !== undefined && p[1] !== '' && p[1] !== false)
      .map(([name, value]) => h('div', h('dt', name), h('dd', value))),
  );
}

// card(title, {actions}, …body)
export function card(title, { actions, level = 'h2', flush } = {}, ...body) {
  const id = newId('card');
  return h(
    'section.card',
    { 'aria-labelledby': id },
    h('header', h(level, { id }, title), actions && h('div.push', actions)),
    flush ? body : h('div.body', body),
  );
}

// head is the first thing on a page: its name, what it is for, what can be done.
export function head(title, { about, actions, crumb } = {}) {
  return h(
    'header.page-head',
    crumb && h('nav.crumb', { 'aria-label': 'Where this is' }, crumb),
    h('h1', { tabIndex: -1 }, title),
    actions && h('div.actions', actions),
    about && h('p.about', about),
  );
}

// empty says that nothing is there, and what would make it otherwise.
export function empty(title, text, { icon: name = 'mail', action } = {}) {
  return h('div.state', icon(name, 34), h('h2', title), text && h('p', text), action);
}

// failed says what went wrong.
export function failed(err, again) {
  const missing = err.status === 404 || err.status === 405;
  return h(
    'div.state.bad',
    { role: 'alert' },
    icon('warn', 34),
    h('h2', missing && !err.code ? 'This is not here' : 'That did not work'),
    h('p', err.message),
    again && button('Try again', { icon: 'restart', onclick: again }),
  );
}

// bones stand where something is about to be.
export function bones(lines = 5) {
  return h(
    'div.bones',
    { 'aria-busy': 'true' },
    h('span.hide', 'Loading'),
    Array.from({ length: lines }, () => h('i')),
  );
}

// search is a field for words that is read while typing.
export function search(label, value, oninput) {
  const input = h('input.input', {
    type: 'search',
    placeholder: label,
    'aria-label': label,
    value: value ?? '',
    dataset: { search: '' },
    autocomplete: 'off',
    spellcheck: false,
  });
  input.addEventListener('input', () => oninput(input.value.trim()));
  return h('div.search', icon('search', 16), input);
}

// choice is a select: [[value, text], …]
export function choice(label, options, value, onchange) {
  const el = h(
    'select.input',
    { 'aria-label': label, onchange: () => onchange?.(el.value) },
    options.map(([v, text]) => h('option', { value: v, selected: String(v) === String(value ?? '') }, text)),
  );
  return el;
}

// segments are a choice of a few that are all seen.
export function segments(label, options, value, onchange) {
  const name = newId('segments');
  return h(
    'fieldset.segments',
    { 'aria-label': label },
    options.map(([v, text]) =>
      h('label', h('input', { type: 'radio', name, value: v, checked: v === value, onchange: () => onchange(v) }), h('span', text)),
    ),
  );
}

// tabs: [{id, label, show(panel)}]
export function tabs(label, list, current, onchange) {
  const panel = h('div', { role: 'tabpanel', tabIndex: 0, id: newId('panel') });
  const buttons = list.map((t) =>
    h('button', { role: 'tab', type: 'button', id: newId('tab'), 'aria-controls': panel.id, onclick: () => choose(t, true) }, t.label),
  );
  const bar = h('div.tabs', { role: 'tablist', 'aria-label': label }, buttons);
  bar.addEventListener('keydown', (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    const i = (list.findIndex((_, n) => buttons[n] === document.activeElement) + step + list.length) % list.length;
    buttons[i].focus();
    choose(list[i], true);
  });
  function choose(t, told) {
    list.forEach((one, i) => {
      buttons[i].setAttribute('aria-selected', one === t);
      buttons[i].tabIndex = one === t ? 0 : -1;
    });
    panel.setAttribute('aria-labelledby', buttons[list.indexOf(t)].id);
    replace(panel);
    t.show(panel);
    if (told) onchange?.(t.id);
  }
  choose(list.find((t) => t.id === current) ?? list[0], false);
  return h('div', bar, panel);
}

// copyButton copies text.
export function copyButton(text, label = 'Copy') {
  const el = iconButton('copy', label, {
    small: true,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(text);
        replace(el, icon('check', 16));
        setTimeout(() => replace(el, icon('copy', 16)), 1500);
      } catch {
        getSelection().selectAllChildren(el.previousElementSibling ?? el);
      }
    },
  });
  return el;
}

export { icon };
