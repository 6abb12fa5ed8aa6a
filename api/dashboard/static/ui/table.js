// Tables. A row is drawn anew only when what it shows has changed, and keeps the focus that is in it.

import { h, replace, focusables } from '../lib/dom.js';
import { number } from '../lib/format.js';
import { button, choice, empty as emptyState, failed, bones } from './parts.js';

// table({caption, columns, key, empty, row})
// A column: {label, cell(row), num, head (the row's name), acts, pick, wide (on a phone below its label)}. cell returns text, a node or a list of them.
export function table({ caption, columns, key, empty, rows = null, signature }) {
  columns = columns.filter(Boolean);
  const body = h('tbody', { role: 'rowgroup' });
  const grid = h(
    'table',
    { role: 'table' },
    h('caption.hide', caption),
    h(
      'thead',
      { role: 'rowgroup' },
      h(
        'tr',
        { role: 'row' },
        columns.map((c) =>
          h(
            'th',
            { scope: 'col', role: 'columnheader', class: kind(c) },
            c.headCell ?? (c.acts ? h('span.hide', c.label ?? 'Actions') : c.label),
          ),
        ),
      ),
    ),
    body,
  );
  const wrap = h('div.table-wrap.cards', grid);
  const el = h('div', { 'aria-live': 'off' }, bones());
  const known = new Map(); // key → {text, tr}

  function draw(list) {
    const seen = new Set();
    const trs = list.map((row, i) => {
      const id = String(key ? key(row) : i);
      const text = JSON.stringify(signature ? signature(row) : row);
      seen.add(id);
      const old = known.get(id);
      if (old?.text === text) return old.tr;
      const tr = h(
        'tr',
        { role: 'row' },
        columns.map((c) => cell(c, row)),
      );
      if (old?.tr.contains(document.activeElement)) {
        const at = focusables(old.tr).indexOf(document.activeElement);
        queueMicrotask(() => focusables(tr)[at]?.focus());
      }
      known.set(id, { text, tr });
      return tr;
    });
    for (const id of known.keys()) if (!seen.has(id)) known.delete(id);
    if (trs.length !== body.children.length || trs.some((tr, i) => body.children[i] !== tr)) replaceRows(body, trs);
  }

  const me = {
    el,
    update(list) {
      if (!list.length && empty) {
        known.clear();
        replace(body);
        replace(el, h('div.card', typeof empty === 'function' ? empty() : emptyState(...empty)));
        return me;
      }
      draw(list);
      if (el.firstChild !== wrap) replace(el, wrap);
      return me;
    },
    fail(err, again) {
      replace(el, h('div.card', failed(err, again)));
    },
    // redraw forgets what is drawn, as when what cells show depends on more than the row.
    redraw(list) {
      known.clear();
      return me.update(list);
    },
  };
  if (rows) me.update(rows);
  return me;
}

// replaceRows puts rows in order, and leaves those in place that are, so that the focus stays.
function replaceRows(body, trs) {
  trs.forEach((tr, i) => {
    if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] ?? null);
  });
  while (body.children.length > trs.length) body.lastChild.remove();
}

const kind = (c) => [c.num && 'num', c.acts && 'acts', c.pick && 'pick', c.wide && 'wide'].filter(Boolean).join(' ');

function cell(c, row) {
  let content = c.cell(row);
  if (c.num && typeof content === 'number') content = number(content);
  const nothing = content === null || content === undefined || content === '' || (Array.isArray(content) && !content.some(Boolean));
  if (c.head) return h('th', { scope: 'row', role: 'rowheader' }, h('div', content));
  if (c.acts) return h('td.acts', { role: 'cell', class: nothing ? 'empty' : '' }, h('div', content));
  return h(
    'td',
    { role: 'cell', class: `${kind(c)} ${nothing ? 'empty' : ''}`.trim(), dataset: { label: c.label ?? '' } },
    nothing ? h('span.quiet', '–') : Array.isArray(content) ? h('div.lines', content) : content,
  );
}

// pager turns the pages of a list. onchange gets {page} or {limit, page}.
export function pager(onchange) {
  const el = h('nav.pager', { 'aria-label': 'Pages', hidden: true });
  return {
    el,
    update({ page, limit, count }) {
      const pages = Math.max(1, Math.ceil(count / limit));
      el.hidden = count === 0 || (pages === 1 && count <= 20);
      const first = (page - 1) * limit + 1;
      const focused = el.contains(document.activeElement) ? document.activeElement.dataset.at : null;
      replace(
        el,
        h('span', count === 0 ? 'none' : `${number(Math.min(first, count))}–${number(Math.min(page * limit, count))} of ${number(count)}`),
        h(
          'div.push',
          choice(
            'Rows on a page',
            [20, 50, 100, 500].map((n) => [n, `${n} rows`]),
            limit,
            (v) => onchange({ limit: Number(v), page: 1 }),
          ),
          button('Previous', {
            small: true,
            icon: 'back',
            disabled: page <= 1,
            dataset: { at: 'back' },
            onclick: () => onchange({ page: page - 1 }),
          }),
          button('Next', {
            small: true,
            icon: 'next',
            disabled: page >= pages,
            dataset: { at: 'next' },
            onclick: () => onchange({ page: page + 1 }),
          }),
        ),
      );
      if (focused) el.querySelector(`[data-at="${focused}"]`)?.focus();
    },
  };
}
