// What waits for a client, or is in flight to it.

import { h, replace } from '../lib/dom.js';
import { get, path } from '../lib/api.js';
import { message } from './history.js';
import { button, empty, failed, bones } from './parts.js';

// pendingList shows messages of a client, as far as somebody wants to go on. what: mqueue_messages or inflight_messages.
export function pendingList(view, id, what, none) {
  const items = h('ol.log', { 'aria-label': 'Messages', tabIndex: 0 });
  const box = h('div', bones(3));
  const onward = button('Go on', { icon: 'next', small: true, hidden: true, onclick: () => read() });
  let position;

  async function read() {
    try {
      const page = await get(path`clients/${id}` + `/${what}`, { limit: 100, position }, { signal: view.signal });
      position = page.meta.position;
      onward.hidden = !page.meta.hasnext;
      items.append(...page.data.map(message));
      replace(box, items.children.length ? items : empty(...none));
    } catch (err) {
      if (err.name !== 'AbortError') replace(box, failed(err, again));
    }
  }
  function again() {
    position = undefined;
    replace(items);
    return read();
  }
  again();
  return h('div', box, h('div.toolbar.foot', button('Look again', { icon: 'restart', small: true, onclick: again }), onward));
}
