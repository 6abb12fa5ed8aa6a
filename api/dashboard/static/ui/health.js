// Whether the broker is well, at the top of every page.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { dot } from './parts.js';

// health asks now and then, until signal ends. links are those of the sidebar.
export function health(links, signal) {
  const el = h('div.health', { role: 'status' });
  const node = h('small', session.value?.version ?? '');
  let last = '';

  async function look() {
    let ready = false;
    try {
      ready = (await fetch('readyz', { signal })).ok;
    } catch (err) {
      if (err.name === 'AbortError') return;
    }
    const text = ready ? 'Running' : 'Not ready';
    if (text !== last) replace(el, dot(ready ? 'ok' : 'danger'), h('span.text', text), h('span.hide', `The broker is ${ready ? 'running' : 'not ready'}`));
    last = text;
  }

  const timer = setInterval(() => { if (!document.hidden) look(); }, 10000);
  signal.addEventListener('abort', () => clearInterval(timer));
  look();
  return { el, node };
}
