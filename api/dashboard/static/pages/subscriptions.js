// Subscriptions: who gets what, as a tree of filters or as a list.

import { h, replace, debounce } from '../lib/dom.js';
import { all } from '../lib/api.js';
import { link } from '../lib/router.js';
import { count, number } from '../lib/format.js';
import { list } from '../lib/refresh.js';
import { table, pager } from '../ui/table.js';
import { tree, grow, unfold } from '../ui/tree.js';
import { dialog } from '../ui/dialog.js';
import { head, search, segments, choice, badge, empty, bones, failed, button } from '../ui/parts.js';

const most = 10000; // what the tree is made of at most

const columns = [
  { label: 'Filter', head: true, cell: (s) => h('span.cell-id', s.topic) },
  { label: 'Client', cell: (s) => h('a.cell-id', { href: link('clients', s.clientid) }, s.clientid) },
  { label: 'QoS', num: true, cell: (s) => s.qos },
  {
    label: 'Options',
    cell: (s) => [s.nl ? badge('no local') : null, s.rap ? badge('retain as published') : null].filter(Boolean).flatMap((b) => [b, ' ']),
  },
  { label: 'Kept', cell: (s) => (s.durable ? badge('durable', 'accent') : h('span.quiet', 'temporary')) },
];

const nothing = () => empty('No subscriptions', 'Nobody is subscribed to anything like that.', { icon: 'subscriptions' });

export async function show(view) {
  const body = h('div');
  let end = () => {};
  const later = debounce((name, v) => {
    view.setQuery({ [name]: v, page: '' });
    draw();
  });
  view.root.append(
    head('Subscriptions', {
      about: 'The topic filters that clients are subscribed to. Ask for a topic to see who would get a message to it.',
      actions: segments(
        'Show as',
        [
          ['tree', 'Tree'],
          ['list', 'List'],
        ],
        view.query.as === 'list' ? 'list' : 'tree',
        (as) => {
          view.setQuery({ as, page: '' });
          draw();
        },
      ),
    }),
    h(
      'div.toolbar',
      search('A topic that is matched, such as sensors/room-1/temperature', view.query.match, (v) => later('match', v)),
      h(
        'div.word',
        h('input.input', {
          type: 'search',
          'aria-label': 'Client id',
          placeholder: 'Client id',
          value: view.query.client ?? '',
          oninput: (e) => later('client', e.target.value.trim()),
        }),
      ),
      choice(
        'QoS',
        [
          ['', 'Any QoS'],
          [0, 'QoS 0'],
          [1, 'QoS 1'],
          [2, 'QoS 2'],
        ],
        view.query.qos,
        (v) => {
          view.setQuery({ qos: v, page: '' });
          draw();
        },
      ),
    ),
    body,
  );
  const parameters = (q) => ({ match_topic: q.match, clientid: q.client, qos: q.qos });

  function draw() {
    end();
    if (view.query.as === 'list') drawList();
    else drawTree();
  }

  function drawList() {
    const grid = table({ caption: 'Subscriptions', key: (s) => `${s.clientid}\n${s.topic}`, columns, empty: nothing });
    const pages = pager((changes) => rows.change(changes));
    const part = view.part();
    end = () => part.end();
    replace(body, grid.el, pages.el);
    const rows = list(part, {
      to: 'subscriptions',
      parameters,
      show: (data, meta) => {
        grid.update(data);
        pages.update(meta);
      },
      fail: grid.fail,
    });
  }

  function drawTree() {
    const open = new Set();
    let first = true;
    let drawn = '';
    const box = h('div.card');
    const note = h('p.quiet');
    const grown = tree({
      label: 'Topic filters',
      open,
      choose: showSubscribers,
      end: (n) => [
        n.items.length > 0 && badge(count(n.items.length, 'subscriber'), 'accent'),
        n.children.size > 0 && h('span', { title: 'Subscriptions below' }, number(n.total)),
      ],
    });
    const part = view.part();
    end = () => part.end();
    replace(box, bones());
    replace(body, box, note);
    part.every(5000, async () => {
      try {
        const { data, more, count: total } = await all('subscriptions', parameters(view.query), most, { signal: part.signal });
        const text = JSON.stringify(data);
        if (text === drawn) return;
        drawn = text;
        const root = grow(data, (s) => s.topic);
        if (first) unfold(root, open);
        first = false;
        if (!data.length) return replace(box, nothing());
        grown.update(root);
        replace(box, h('div.body', grown.el));
        note.textContent = more ? `The tree has the first ${number(most)} of ${number(total)} subscriptions. The list has all.` : '';
      } catch (err) {
        if (err.name === 'AbortError') throw err;
        replace(box, failed(err, draw));
      }
    });
  }
  draw();
}

function showSubscribers(node) {
  dialog(
    h('span.mono', node.path),
    (close) => [
      h('div.dialog-body', table({ caption: 'Subscribers', key: (s) => s.clientid, columns: columns.slice(1), rows: node.items }).el),
      h('div.dialog-foot', button('Close', { onclick: () => close() })),
    ],
    { wide: true },
  );
}
