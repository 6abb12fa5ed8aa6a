// Go anywhere: pages by name, clients by a part of their id.

import { h, replace, debounce, newId } from '../lib/dom.js';
import { get } from '../lib/api.js';
import { session } from '../lib/session.js';
import { go } from '../lib/router.js';
import { pages } from '../pages.js';
import { dialog } from './dialog.js';
import { icon } from './icons.js';

// palette asks where to go.
export async function palette() {
  const target = await dialog(
    '',
    (close) => {
      const list = h('ul', { id: newId('list'), role: 'listbox', 'aria-label': 'Places' });
      const input = h('input.input', {
        type: 'text',
        placeholder: 'A page, or a part of a client id',
        'aria-label': 'Where to',
        role: 'combobox',
        'aria-expanded': 'true',
        'aria-controls': list.id,
        'aria-autocomplete': 'list',
        autocomplete: 'off',
        spellcheck: false,
        autofocus: true,
      });
      let places = [];
      let at = 0;

      function draw() {
        replace(
          list,
          places.map((p, i) =>
            h(
              'li',
              {
                id: `${list.id}-${i}`,
                role: 'option',
                'aria-selected': String(i === at),
                onclick: () => close(p.to),
                onpointermove: () => {
                  if (at !== i) choose(i);
                },
              },
              icon(p.icon),
              h('span', p.name),
              h('small', p.kind),
            ),
          ),
        );
        if (!places.length) replace(list, h('li.state', 'Nothing of that name'));
        input.setAttribute('aria-activedescendant', places.length ? `${list.id}-${at}` : '');
      }
      function choose(i) {
        list.children[at]?.setAttribute('aria-selected', 'false');
        at = i;
        list.children[at]?.setAttribute('aria-selected', 'true');
        list.children[at]?.scrollIntoView({ block: 'nearest' });
        input.setAttribute('aria-activedescendant', `${list.id}-${at}`);
      }
      function ofPages(text) {
        return pages
          .filter((p) => !p.detail && (session.manages || !p.manage) && p.title.toLowerCase().includes(text))
          .map((p) => ({ name: p.title, icon: p.icon, kind: 'Page', to: [p.path] }));
      }
      const clients = debounce(async (text) => {
        const found = await get('clients', { like_clientid: text, limit: 8 }).catch(() => ({ data: [] }));
        if (input.value.trim() !== text) return;
        places = [
          ...ofPages(text.toLowerCase()),
          ...found.data.map((c) => ({
            name: c.clientid,
            icon: 'clients',
            kind: c.connected ? 'connected' : 'away',
            to: ['clients', c.clientid],
          })),
        ];
        draw();
      }, 150);
      input.addEventListener('input', () => {
        const text = input.value.trim();
        at = 0;
        places = ofPages(text.toLowerCase());
        draw();
        if (text) clients(text);
      });
      input.addEventListener('keydown', (e) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
        if (step && places.length) {
          e.preventDefault();
          choose((at + step + places.length) % places.length);
        } else if (e.key === 'Enter' && places[at]) close(places[at].to);
      });
      places = ofPages('');
      draw();
      return [input, list];
    },
    { class: 'palette' },
  );
  if (target) go(...target);
}
