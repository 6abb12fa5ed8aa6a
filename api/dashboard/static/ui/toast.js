// Short messages at the edge of the window.

import { h } from '../lib/dom.js';
import { iconButton } from './parts.js';

function show(text, bad) {
  const el = h('div.toast', { class: bad ? 'bad' : '' }, h('span', text), iconButton('close', 'Dismiss', { onclick: () => el.remove() }));
  document.getElementById('toasts').append(el);
  setTimeout(() => el.remove(), bad ? 9000 : 4500);
}

// done says that something went well.
export const done = (text) => show(text, false);

// wrong says what did not.
export const wrong = (err) => {
  if (err.name !== 'AbortError') show(err.message ?? String(err), true);
};
