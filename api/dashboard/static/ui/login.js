// Logging in: as a page, and as a dialog over a page whose token has run out.

import { h, replace } from '../lib/dom.js';
import { session, login } from '../lib/session.js';
import { button } from './parts.js';
import { field } from './form.js';
import { dialog } from './dialog.js';
import { mark } from './icons.js';

function form(username, after) {
  const name = field({
    name: 'username',
    label: 'Username',
    value: username,
    required: true,
    autocomplete: 'username',
    autofocus: !username,
  });
  const password = field({
    name: 'password',
    label: 'Password',
    type: 'password',
    required: true,
    autocomplete: 'current-password',
    autofocus: Boolean(username),
  });
  const error = h('div', { role: 'alert' });
  const submit = button('Log in', { type: 'submit', primary: true, full: true });
  return h(
    'form.stack',
    {
      onsubmit: async (e) => {
        e.preventDefault();
        submit.disabled = true;
        replace(error);
        try {
          await login(name.read(), password.read());
          after?.();
        } catch (err) {
          submit.disabled = false;
          replace(error, h('p.form-error', err.message));
          password.input.select();
        }
      },
    },
    name.el,
    password.el,
    error,
    submit,
  );
}

// loginPage is all that a stranger sees.
export function loginPage() {
  const f = form('');
  f.prepend(h('h1.brand', mark(), 'Barid'));
  return h(
    'main.login',
    { id: 'main', tabIndex: -1 },
    h(
      'div.login-card',
      h('div.airmail', { 'aria-hidden': 'true' }),
      f,
      h('p.login-foot', 'The first start keeps the password of ', h('code', 'admin'), ' in ', h('code', 'data/admin-password'), '.'),
    ),
  );
}

let asking = null;

// loginAgain asks for the password once more. What is on the page stays.
export function loginAgain() {
  asking ??= dialog(
    'Your session has ended',
    (close) =>
      h(
        'div.dialog-body.stack',
        h('p.quiet', 'Log in again to go on where you were.'),
        form(session.username, () => close(true)),
        h('div.row', button('Log out', { plain: true, small: true, onclick: () => close(false) })),
      ),
    { fixed: true },
  ).then((ok) => {
    asking = null;
    if (!ok) {
      session.end();
      throw new DOMException('logged out', 'AbortError');
    }
  });
  return asking;
}
