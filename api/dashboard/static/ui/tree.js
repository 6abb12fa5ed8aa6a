// Topics as a tree: one level of the topic a branch. Keys as in any tree: up, down, left, right, Home, End, Enter.

import { h, replace } from '../lib/dom.js';
import { icon } from './icons.js';

// grow makes a tree of items; topic(item) is its topic. A node: {name, path, items, children, total}.
export function grow(items, topic) {
  const root = { name: '', path: '', items: [], children: new Map(), total: 0 };
  for (const item of items) {
    let at = root;
    at.total++;
    const levels = topic(item).split('/');
    levels.forEach((name, i) => {
      if (!at.children.has(name))
        at.children.set(name, { name, path: levels.slice(0, i + 1).join('/'), items: [], children: new Map(), total: 0 });
      at = at.children.get(name);
      at.total++;
    });
    at.items.push(item);
  }
  return shorten(root);
}

// shorten makes one line of levels that have nothing else below or beside them: factory/hall-7/line-3.
function shorten(node) {
  const children = new Map();
  for (let child of node.children.values()) {
    const names = [child.name];
    while (child.children.size === 1 && !child.items.length) {
      child = [...child.children.values()][0];
      names.push(child.name);
    }
    children.set(names[0], shorten({ ...child, name: names.join('/') }));
  }
  return { ...node, children };
}

const sorted = (node) => [...node.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));

// tree draws one. open is a Set of paths that are unfolded, and is kept up to date. end(node) is at the end of a line;
// choose(node) is called with a node that has items.
export function tree({ label, open, end, choose }) {
  const el = h('ul.tree', { role: 'tree', 'aria-label': label });
  let current = null; // path of the node that Tab reaches

  function branch(node, level) {
    const leaf = node.children.size === 0;
    const li = h('li', { role: 'treeitem', 'aria-level': String(level), tabIndex: -1, dataset: { path: node.path } });
    if (!leaf) li.setAttribute('aria-expanded', String(open.has(node.path)));
    const twist = h(
      'span.twist',
      {
        onclick: (e) => {
          e.stopPropagation();
          toggle(li, node, level);
        },
      },
      !leaf && icon('next', 14),
    );
    const line = h(
      'div.node',
      {
        onclick: () => {
          focus(li);
          if (node.items.length && choose) choose(node);
          else if (!leaf) toggle(li, node, level);
        },
      },
      twist,
      h('span.name', { class: /(^|\/)[+#](\/|$)/.test(node.name) ? 'wild' : '' }, node.name === '' ? '(empty level)' : node.name),
      h('span.end', end(node)),
    );
    li.append(line);
    li.node = node;
    li.level = level;
    if (!leaf && open.has(node.path)) li.append(children(node, level));
    return li;
  }
  const children = (node, level) =>
    h(
      'ul',
      { role: 'group' },
      sorted(node).map((c) => branch(c, level + 1)),
    );

  function toggle(li, node, level, want = !open.has(node.path)) {
    if (want === open.has(node.path) || !node.children.size) return;
    if (want) {
      open.add(node.path);
      li.append(children(node, level));
    } else {
      open.delete(node.path);
      li.querySelector('ul')?.remove();
    }
    li.setAttribute('aria-expanded', String(want));
  }

  function focus(li) {
    if (!li) return;
    el.querySelector('[tabindex="0"]')?.setAttribute('tabindex', '-1');
    li.tabIndex = 0;
    current = li.dataset.path;
    li.focus();
  }

  el.addEventListener('keydown', (e) => {
    const li = e.target.closest('[role="treeitem"]');
    if (!li || e.target !== li) return;
    const all = [...el.querySelectorAll('[role="treeitem"]')];
    const i = all.indexOf(li);
    const keys = {
      ArrowDown: () => focus(all[i + 1]),
      ArrowUp: () => focus(all[i - 1]),
      Home: () => focus(all[0]),
      End: () => focus(all.at(-1)),
      ArrowRight: () => (open.has(li.node.path) ? focus(all[i + 1]) : toggle(li, li.node, li.level, true)),
      ArrowLeft: () =>
        open.has(li.node.path) && li.node.children.size
          ? toggle(li, li.node, li.level, false)
          : focus(li.parentElement.closest('[role="treeitem"]')),
      Enter: () => (li.node.items.length && choose ? choose(li.node) : toggle(li, li.node, li.level)),
      ' ': () => toggle(li, li.node, li.level),
    };
    if (!keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  });

  return {
    el,
    update(root) {
      const had = el.contains(document.activeElement);
      replace(
        el,
        sorted(root).map((n) => branch(n, 1)),
      );
      const li = [...el.querySelectorAll('[role="treeitem"]')].find((one) => one.dataset.path === current) ?? el.firstChild;
      if (!li) return;
      li.tabIndex = 0;
      if (had) li.focus();
    },
  };
}

// unfold opens what is small enough to be seen at once.
export function unfold(root, open, room = 40) {
  let lines = root.children.size;
  const queue = sorted(root);
  while (queue.length) {
    const node = queue.shift();
    if (!node.children.size || lines + node.children.size > room) continue;
    open.add(node.path);
    lines += node.children.size;
    queue.push(...sorted(node));
  }
}
