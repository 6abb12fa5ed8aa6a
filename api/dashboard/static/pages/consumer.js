// One consumer: where it is, and what waits for it.

import { h, replace } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, path } from '../lib/api.js';
import { link, go } from '../lib/router.js';
import { number, seconds } from '../lib/format.js';
import { head, card, facts, tag, bones, failed, when, button, badge } from '../ui/parts.js';
import { drop, lag } from './consumers.js';

export async function show(view) {
  const name = view.parts[1];
  const title = h('div');
  const about = h('div.stack', h('div.card', bones(4)));
  const heading = (c) =>
    replace(
      title,
      head(h('span.wrap', name), {
        crumb: [h('a', { href: link('consumers') }, 'Consumers'), ' / ', 'Consumer'],
        actions: c && session.manages && button('Delete', { icon: 'trash', danger: true, onclick: () => drop(c, () => go('consumers')) }),
      }),
    );
  heading(null);
  view.root.append(title, about);
  let drawn = '';
  view.every(2000, async () => {
    try {
      const c = await get(path`consumers/${name}`, {}, { signal: view.signal });
      const text = JSON.stringify(c);
      if (text === drawn) return;
      if (!drawn) heading(c);
      drawn = text;
      replace(
        about,
        h(
          'div.grid.halves',
          card(
            'What it is',
            {},
            facts([
              ['Filters', c.filters.map((f) => [tag(f), ' ']).flat()],
              ['Read', c.push ? badge('push', 'accent') : badge('poll')],
              ['Began', c.start],
              ['Owner', c.owner],
              ['Made', when(c.created_at)],
              ['Time to acknowledge', seconds(c.ack_wait_seconds)],
              ['Given at most', c.max_deliver ? `${number(c.max_deliver)} times` : 'until acknowledged'],
              ['Dead letters', c.dead_letter_topic && tag(c.dead_letter_topic)],
              ['Ends when unused for', c.idle_expiry_seconds ? seconds(c.idle_expiry_seconds) : 'never'],
            ]),
          ),
          card(
            'Where it is',
            {},
            facts([
              ['Place', h('code', c.position)],
              ['Lag', lag(c)],
              ['In flight', number(c.in_flight)],
              ['Polls that wait', c.waiting !== undefined && number(c.waiting)],
              ['Given', number(c.delivered)],
              ['Given again', number(c.redelivered)],
              ['Acknowledged', number(c.acknowledged)],
              ['Given back', number(c.returned)],
              ['Dead letters', number(c.dead_lettered)],
            ]),
          ),
        ),
        c.push &&
          card(
            'Push',
            {},
            facts(
              Object.entries(c.push)
                .filter(([, v]) => typeof v !== 'object')
                .map(([k, v]) => [k.replaceAll('_', ' '), k.endsWith('_at') ? when(v) : String(v)]),
            ),
          ),
      );
    } catch (err) {
      if (err.name === 'AbortError') throw err;
      drawn = '';
      replace(about, h('div.card', failed(err)));
    }
  });
}
