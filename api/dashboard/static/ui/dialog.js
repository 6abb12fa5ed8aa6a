// Dialogs: <dialog> keeps the focus inside and gives it back.

import { h, replace, newId } from '../lib/dom.js';
import { button, iconButton } from './parts.js';

// dialog shows one; content(close) makes what is in it. It returns a promise of what close is called with.
export function dialog(title, content, { wide, fixed, class: more = '' } = {}) {
  return new Promise((resolve) => {
    const id = newId('dialog');
    let result;
    const close = (value) => {
      result = value;
      el.close();
    };
    const el = h('dialog', { class: `${wide ? 'wide' : ''} ${more}`.trim(), 'aria-labelledby': title ? id : null });
    el.append(
      h(
        'div.inside',
        title &&
          h(
            'div.dialog-head',
            h('h2', { id }, title),
            !fixed && h('span.push', iconButton('close', 'Close', { small: true, onclick: () => close() })),
          ),
        content(close, el),
      ),
    );
    el.addEventListener('close', () => {
      el.remove();
      resolve(result);
    });
    el.addEventListener('cancel', (e) => {
      if (fixed) e.preventDefault();
    });
    if (!fixed)
      el.addEventListener('mousedown', (e) => {
        if (e.target === el) close();
      });
    el.addEventListener('click', (e) => {
      if (e.target.closest('a[href^="#"]')) close();
    });
    document.body.append(el);
    el.showModal();
    (el.querySelector('[autofocus]') ?? el.querySelector('input, select, textarea'))?.focus();
  });
}

// ask has people confirm what cannot be undone. act does it; what goes wrong is shown in the dialog. It returns whether it
// was done.
export function ask(title, text, verb, act, { danger = true } = {}) {
  return dialog(title, (close) => {
    const error = h('div');
    const yes = button(verb, { primary: true, danger, autofocus: true });
    yes.addEventListener('click', async () => {
      yes.disabled = true;
      try {
        await act();
        close(true);
      } catch (err) {
        yes.disabled = false;
        replace(error, h('p.form-error', { role: 'alert' }, err.message));
      }
    });
    return [h('div.dialog-body.stack', h('p', text), error), h('div.dialog-foot', button('Cancel', { onclick: () => close(false) }), yes)];
  });
}
