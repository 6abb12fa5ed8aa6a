// The audit log: who changed what.

import { h } from '../lib/dom.js';
import { list } from '../lib/refresh.js';
import { words } from '../lib/format.js';
import { table, pager } from '../ui/table.js';
import { head, badge, when } from '../ui/parts.js';

export async function show(view) {
  const grid = table({
    caption: 'Changes',
    columns: [
      { label: 'When', cell: (e) => when(e.created_at) },
      {
        label: 'Who',
        head: true,
        cell: (e) => [h('span.wrap', e.source), h('span.cell-sub', [e.role, e.source_ip && ` from ${e.source_ip}`])],
      },
      {
        label: 'What',
        cell: (e) =>
          h('span.wrap', badge(e.http_method, e.http_method === 'DELETE' ? 'danger' : 'info'), ' ', h('span.mono', readable(e.http_path))),
      },
      {
        label: 'How it went',
        cell: (e) => (e.operation_result === 'success' ? badge('done', 'ok') : badge(words(e.failure ?? 'failed').toLowerCase(), 'danger')),
      },
    ],
    empty: [
      'Nothing was changed yet',
      'Each request that changes something, or tries to, is noted here and in the log.',
      { icon: 'audit' },
    ],
  });
  const pages = pager((changes) => rows.change(changes));
  const rows = list(view, {
    to: 'audit',
    show: (data, meta) => {
      grid.update(data);
      pages.update(meta);
    },
    fail: grid.fail,
  });
  view.root.append(
    head('Audit log', {
      about: 'The last thousand requests that changed something or tried to, newest first. The log of the broker has all of them.',
    }),
    grid.el,
    pages.el,
  );
}

function readable(path) {
  const short = path.replace(/^\/api\/v5/, '');
  try {
    return decodeURIComponent(short);
  } catch {
    return short;
  }
}
