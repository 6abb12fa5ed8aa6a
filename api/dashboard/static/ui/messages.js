// A log of messages, newest first, each of which unfolds.

import { h, replace } from '../lib/dom.js';
import { clock, absolute } from '../lib/format.js';
import { payload, preview } from './payload.js';
import { facts, empty } from './parts.js';

const most = 500; // messages that are kept

// messageLog: add({topic, payload (bytes), qos, retain, out, at, details: [[name, value]]}) adds one.
export function messageLog({ none }) {
  const list = h('ol.log', { 'aria-label': 'Messages', tabIndex: 0 });
  const el = h('div', none());
  let all = [];
  let wanted = '';

  const fits = (m) => !wanted || m.topic.includes(wanted) || preview(m.payload).includes(wanted);

  function item(m) {
    const details = h(
      'details',
      h(
        'summary',
        h('span.way', { class: m.out ? 'out' : '', title: m.out ? 'sent' : 'received' }, m.out ? '↑' : '↓'),
        h('span.topic', m.topic),
        h('span.when', { title: absolute(m.at) }, m.qos !== undefined && `QoS ${m.qos} · `, m.retain && 'retained · ', clock(m.at)),
        h('span.preview', preview(m.payload)),
      ),
    );
    details.addEventListener('toggle', () => {
      if (details.open && details.children.length === 1)
        details.append(h('div.inside', payload(m.payload), m.details?.length ? facts(m.details) : null));
    });
    return h('li', details);
  }

  return {
    el,
    get size() {
      return all.length;
    },
    add(m) {
      all.unshift(m);
      if (all.length > most) all.pop();
      if (!fits(m)) return;
      list.prepend(item(m));
      while (list.children.length > most) list.lastChild.remove();
      if (el.firstChild !== list) replace(el, list);
    },
    filter(text) {
      wanted = text;
      const some = all.filter(fits);
      replace(list, some.map(item));
      if (!all.length) replace(el, none());
      else replace(el, some.length ? list : empty('No message is like that', 'Change the search.', { icon: 'search' }));
    },
    clear() {
      all = [];
      replace(list);
      replace(el, none());
    },
  };
}
