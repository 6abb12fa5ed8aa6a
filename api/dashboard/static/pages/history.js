// History of any filter, as far as it is kept.

import { h } from '../lib/dom.js';
import { link } from '../lib/router.js';
import { head } from '../ui/parts.js';
import { browser } from '../ui/history.js';

export async function show(view) {
  const filter = h('input.input.mono', {
    type: 'text',
    'aria-label': 'Topic filter',
    placeholder: 'A topic filter, such as sensors/#',
    value: view.query.filter ?? '',
    spellcheck: false,
    dataset: { search: '' },
  });
  const history = browser(
    view,
    () => {
      view.setQuery({ filter: filter.value.trim() });
      return { filter: filter.value.trim() || '#' };
    },
    filter,
  );
  view.root.append(
    head('History', {
      crumb: [h('a', { href: link('streams') }, 'Streams'), ' / ', 'History'],
      about: 'Messages that are kept: by a stream that has all of a filter, or else what the log happens to have.',
    }),
    history.el,
  );
}
