// Forms in dialogs, made of a list of fields.

import { h, replace, newId } from '../lib/dom.js';
import { button } from './parts.js';
import { dialog } from './dialog.js';

// field makes one: {name, label, type, value, hint, options, required, wide, placeholder, mono, …}
// type: text (if left out), password, number, area, select, check, lines (a list, one a line), time.
export function field(f) {
  const id = newId('field');
  const hint = f.hint && h('span.hint', { id: `${id}-hint` }, f.hint);
  const common = {
    id,
    name: f.name,
    required: f.required,
    placeholder: f.placeholder ?? '',
    'aria-describedby': hint ? hint.id : null,
    autofocus: f.autofocus,
    disabled: f.disabled ?? false,
  };
  if (f.type === 'check') {
    const input = h('input', {
      type: 'checkbox',
      id,
      name: f.name,
      checked: Boolean(f.value),
      disabled: f.disabled ?? false,
      'aria-describedby': hint ? hint.id : null,
    });
    return {
      el: h('div.field', { class: f.wide ? 'wide' : '' }, h('label.check', input, f.label), hint),
      input,
      read: () => input.checked,
    };
  }
  let input;
  if (f.type === 'select')
    input = h(
      'select.input',
      common,
      f.options.map(([v, text]) => h('option', { value: v, selected: String(v) === String(f.value ?? '') }, text)),
    );
  else if (f.type === 'area' || f.type === 'lines')
    input = h(
      'textarea.input',
      { ...common, spellcheck: false, rows: f.rows ?? 4 },
      Array.isArray(f.value) ? f.value.join('\n') : (f.value ?? ''),
    );
  else
    input = h('input.input', {
      ...common,
      type: { time: 'datetime-local' }[f.type] ?? f.type ?? 'text',
      class: f.mono ? 'mono' : '',
      value: f.value ?? '',
      autocomplete: f.autocomplete ?? 'off',
      min: f.min,
      max: f.max,
      spellcheck: false,
    });
  if (f.list) input.setAttribute('list', f.list);
  return {
    el: h('div.field', { class: f.wide ? 'wide' : '' }, h('label.label', { htmlFor: id }, f.label), input, hint),
    input,
    read: () => read(f, input),
  };
}

function read(f, input) {
  const text = input.value;
  switch (f.type) {
    case 'number':
      return text === '' ? undefined : Number(text);
    case 'lines':
      return text
        .split('\n')
        .map((l) => l.trim())
        .filter(Boolean);
    case 'time':
      return text === '' ? undefined : new Date(text).toISOString();
    case 'select':
      return text === '' && !f.required ? undefined : text;
    case 'password':
      return text === '' && !f.required ? undefined : text;
    default:
      return text === '' && !f.required && !f.keep ? undefined : text;
  }
}

// fieldset returns the elements of fields, and a function that reads them all.
export function fieldset(list) {
  const made = list.filter(Boolean).map((f) => [f.name, field(f), f]);
  return {
    el: h(
      'div.fields',
      made.map(([, m]) => m.el),
    ),
    read: () => Object.fromEntries(made.map(([name, m]) => [name, m.read()]).filter(([, v]) => v !== undefined)),
    get: (name) => made.find(([n]) => n === name)[1],
    blame: (message) => blame(made, message),
  };
}

// blame marks the field that a message of the API begins with: "role: …".
function blame(made, message) {
  for (const [name, m] of made) {
    const wrong = message.startsWith(`${name}:`) || message.startsWith(`${name}[`) || message.startsWith(`${name}.`);
    if (wrong) m.input.focus();
    if (wrong) m.input.setAttribute('aria-invalid', 'true');
    else m.input.removeAttribute('aria-invalid');
  }
}

// formDialog asks for fields, and calls save with what was entered; it closes when that went well, with what save returned.
export function formDialog(title, list, verb, save, { note, wide, danger } = {}) {
  return dialog(
    title,
    (close) => {
      const fields = fieldset(list);
      const error = h('div');
      const submit = button(verb, { type: 'submit', primary: true, danger });
      return h(
        'form',
        {
          noValidate: false,
          onsubmit: async (e) => {
            e.preventDefault();
            submit.disabled = true;
            replace(error);
            try {
              close((await save(fields.read())) ?? true);
            } catch (err) {
              submit.disabled = false;
              fields.blame(err.message);
              replace(error, h('p.form-error', { role: 'alert' }, err.message));
            }
          },
        },
        h('div.dialog-body.stack', note && h('p.quiet', note), fields.el, error),
        h('div.dialog-foot', button('Cancel', { onclick: () => close() }), submit),
      );
    },
    { wide },
  );
}
