// What happened lately to messages: drops and refusals with their reason, and all that is traced.

import { h, debounce } from '../lib/dom.js';
import { link } from '../lib/router.js';
import { bytes, words, sentence, clock, absolute } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { dialog } from '../ui/dialog.js';
import { head, search, button, badge, when, facts, empty, icon } from '../ui/parts.js';

export async function show(view) {
  const grid = table({
    caption: 'Messages',
    key: (m) => m.id,
    columns: [
      {
        label: 'Message',
        head: true,
        cell: (m) => [
          h('button.button.plain.small', { type: 'button', class: 'cell-link', onclick: () => story(m) }, h('span.cell-id', m.topic)),
          m.from_clientid && h('span.cell-sub', `from ${m.from_clientid}`),
        ],
      },
      { label: 'What happened', wide: true, cell: (m) => h('div.cell-text', { title: m.summary }, sentence(m.summary)) },
      {
        label: 'Reasons',
        cell: (m) => [...new Set(m.events.map((e) => e.reason).filter(Boolean))].slice(0, 3).flatMap((r) => [badge(words(r), 'warn'), ' ']),
      },
      { label: 'Published', cell: (m) => when(m.publish_at) },
    ],
    empty: () =>
      view.query.client || view.query.topic
        ? empty('Nothing is remembered of that', 'Change the search.', { icon: 'search' })
        : empty(
            'Nothing to tell',
            h('span', 'No message was dropped or refused lately. What is traced, or was published over HTTP, is listed here too.'),
            { icon: 'check' },
          ),
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'explain/messages',
    every: 3000,
    parameters: (q) => ({ clientid: q.client, topic: q.topic }),
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  const later = debounce((name, v) => rows.change({ [name]: v }));
  view.root.append(
    head('What happened', {
      about:
        'Messages of which something is remembered: each that was dropped or refused, with the reason; everything of those that are traced or came over HTTP in the last minutes.',
      actions: [h('a.button', { href: link('explain') }, 'Would it arrive?')],
    }),
    h(
      'div.toolbar',
      search('Client id', view.query.client, (v) => later('client', v)),
      h(
        'div.word',
        h('input.input', {
          type: 'search',
          'aria-label': 'Topic filter',
          placeholder: 'Topic filter',
          value: view.query.topic ?? '',
          autocomplete: 'off',
          oninput: (e) => later('topic', e.target.value.trim()),
        }),
      ),
    ),
    grid.el,
    pages.el,
  );
}

// story shows all that is remembered of one message.
function story(m) {
  return dialog(
    h('span.mono', m.topic),
    (close) => [
      h(
        'div.dialog-body.stack',
        h('p.wrap', sentence(m.summary)),
        facts([
          ['From', m.from_clientid],
          ['User', m.from_username],
          ['Published', when(m.publish_at)],
          ['QoS', String(m.qos)],
          ['Size', bytes(m.payload_bytes)],
          ['Message', h('code', m.id)],
        ]),
        h(
          'ol.steps',
          m.events.map((e) =>
            h(
              'li',
              h('span.bullet', { class: e.reason ? 'no' : 'yes', 'aria-hidden': 'true' }, icon(e.reason ? 'close' : 'check', 14)),
              h(
                'div.row',
                h('strong', sentence(words(e.event))),
                e.reason && badge(words(e.reason), 'warn'),
                e.clientid && h('a.cell-id', { href: link('clients', e.clientid) }, e.clientid),
                h('span.quiet.push', { title: absolute(e.at) }, clock(e.at)),
              ),
              e.why && h('p.quiet.wrap', sentence(e.why)),
              e.list?.length > 0 && h('p.quiet.wrap', e.list.join(', ')),
            ),
          ),
        ),
      ),
      h('div.dialog-foot', button('Close', { onclick: () => close() })),
    ],
    { wide: true },
  );
}
