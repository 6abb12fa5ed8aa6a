// Whether the broker is well: at the top of every page, and beside the alarms in the sidebar.

import { h, replace } from '../lib/dom.js';
import { get } from '../lib/api.js';
import { session } from '../lib/session.js';
import { count, number } from '../lib/format.js';
import { badge, dot } from './parts.js';

// health looks now and then, until signal ends. alarms is their link in the sidebar.
export function health(alarms, signal) {
  const el = h('div.health', { role: 'status' });
  const node = h('small', session.value?.version ?? '');
  let last = '';

  async function look() {
    const ready = await fetch('readyz', { signal }).then(
      (answer) => answer.ok,
      () => false,
    );
    const active = ready ? await get('monitor_current', {}, { signal }).then((now) => now.alarms) : 0;
    const text = !ready ? 'Not ready' : active ? count(active, 'alarm') : 'Running';
    if (text === last || signal.aborted) return;
    last = text;
    replace(
      el,
      dot(!ready ? 'danger' : active ? 'warn' : 'ok'),
      h('span.text', text),
      h('span.hide', `The broker is ${ready ? 'running' : 'not ready'}`),
    );
    alarms.querySelector('.count')?.remove();
    if (active) alarms.append(h('span.count', badge(number(active), 'danger')));
  }

  const timer = setInterval(() => {
    if (!document.hidden) look().catch(() => {});
  }, 10000);
  signal.addEventListener('abort', () => clearInterval(timer));
  look().catch(() => {});
  return { el, node };
}
