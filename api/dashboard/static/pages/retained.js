// Retained messages: the last one of each topic.

import { h, replace, debounce } from '../lib/dom.js';
import { session } from '../lib/session.js';
import { get, remove, path } from '../lib/api.js';
import { bytes, number } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { dialog, ask } from '../ui/dialog.js';
import { payload, fromBase64 } from '../ui/payload.js';
import { done } from '../ui/toast.js';
import { head, search, iconButton, button, when, empty, facts, failed, bones } from '../ui/parts.js';

export async function show(view) {
  const grid = table({
    caption: 'Retained messages',
    key: (m) => m.topic,
    columns: [
      {
        label: 'Topic',
        head: true,
        cell: (m) =>
          h(
            'button.button.plain.small',
            { type: 'button', class: 'cell-link', onclick: () => look(m.topic, refresh) },
            h('span.cell-id', m.topic),
          ),
      },
      { label: 'Size', num: true, cell: (m) => bytes(m.payload_size) },
      { label: 'QoS', num: true, cell: (m) => m.qos },
      { label: 'Published', cell: (m) => when(m.publish_at) },
      { label: 'By', cell: (m) => m.from_clientid && h('span.cell-id', m.from_clientid) },
      {
        acts: true,
        cell: (m) => [
          iconButton('eye', `Look at ${m.topic}`, { small: true, onclick: () => look(m.topic, refresh) }),
          session.manages &&
            iconButton('trash', `Delete ${m.topic}`, { small: true, danger: true, onclick: () => forget(m.topic, refresh) }),
        ],
      },
    ],
    empty: () =>
      view.query.filter
        ? empty('Nothing is retained there', 'No topic with a retained message matches that filter.', { icon: 'search' })
        : empty(
            'Nothing is retained',
            h('span', 'A message that is published with ', h('code', 'retain'), ' stays here, and is given to whoever subscribes later.'),
            { icon: 'retained' },
          ),
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'mqtt/retainer/messages',
    parameters: (q) => ({ topic: q.filter }),
    show: (data, meta) => {
      total = meta.count;
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  const refresh = () => rows.refresh();
  let total = 0;
  const later = debounce((v) => rows.change({ filter: v }));
  view.root.append(
    head('Retained messages', {
      about: 'The last message of each topic that was published with retain. New subscribers get it at once.',
      actions:
        session.manages &&
        button('Delete all', {
          icon: 'trash',
          danger: true,
          onclick: async () => {
            if (
              await ask(
                'Delete every retained message?',
                `${number(total)} or more messages are forgotten, those of all topics. This cannot be undone.`,
                'Delete all',
                () => remove('mqtt/retainer/messages'),
              )
            ) {
              done('Nothing is retained any more.');
              refresh();
            }
          },
        }),
    }),
    h('div.toolbar', search('A topic filter, such as sensors/+/temperature', view.query.filter, later)),
    grid.el,
    pages.el,
  );
}

async function forget(topic, after) {
  if (
    await ask(
      'Delete the retained message?',
      ['The message of ', h('strong.wrap', topic), ' is forgotten. Subscribers are not told.'],
      'Delete',
      () => remove(path`mqtt/retainer/message/${topic}`),
    )
  ) {
    done(`The retained message of ${topic} is deleted.`);
    after();
    return true;
  }
  return false;
}

// look shows one message.
function look(topic, after) {
  return dialog(
    h('span.mono', topic),
    (close) => {
      const body = h('div.dialog-body.stack', bones(3));
      get(path`mqtt/retainer/message/${topic}`).then(
        (m) =>
          replace(
            body,
            facts([
              ['Published', when(m.publish_at)],
              ['QoS', m.qos],
              ['By client', m.from_clientid],
              ['By user', m.from_username],
            ]),
            payload(fromBase64(m.payload)),
          ),
        (err) => replace(body, failed(err)),
      );
      return [
        body,
        h(
          'div.dialog-foot',
          session.manages &&
            button('Delete', {
              danger: true,
              icon: 'trash',
              onclick: async () => {
                if (await forget(topic, after)) close();
              },
            }),
          button('Close', { onclick: () => close() }),
        ),
      ];
    },
    { wide: true },
  );
}
