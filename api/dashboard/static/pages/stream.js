// One stream, and what is in it.

import { h, replace } from '../lib/dom.js';
import { get, path } from '../lib/api.js';
import { link } from '../lib/router.js';
import { number, bytes } from '../lib/format.js';
import { head, card, facts, tag, bones, failed } from '../ui/parts.js';
import { browser } from '../ui/history.js';
import { kept } from './streams.js';

export async function show(view) {
  const name = view.parts[1];
  const about = h('div', bones(3));
  const history = browser(view, () => ({ stream: name }));
  view.root.append(
    head(h('span.wrap', name), { crumb: [h('a', { href: link('streams') }, 'Streams'), ' / ', 'Stream'] }),
    h('div.stack', card('About', {}, about), history.el),
  );
  view.every(5000, async () => {
    try {
      const s = await get(path`streams/${name}`, {}, { signal: view.signal });
      replace(
        about,
        facts([
          ['Filters', s.filters.map((f) => [tag(f), ' ']).flat()],
          ['Keeps', kept(s)],
          ['Messages', number(s.messages)],
          ['Size', bytes(s.bytes)],
          ['Oldest place', h('code', s.first)],
          ['In the log from', h('code', s.next)],
        ]),
      );
    } catch (err) {
      if (err.name === 'AbortError') throw err;
      replace(about, failed(err));
    }
  });
}
