import test from 'node:test';
import assert from 'node:assert/strict';
import { grow, unfold } from '../static/ui/tree.js';

const draw = (node, depth = 0) =>
  [...node.children.values()].flatMap((c) => [
    `${' '.repeat(depth)}${c.name} ${c.items.length}/${c.total} ${c.path}`,
    ...draw(c, depth + 1),
  ]);

test('a tree has a branch for each level, and one line for levels with nothing beside them', () => {
  const root = grow(['a/b/c/d', 'a/b/c/e', 'a/b', 'x', 'x', '/y', 'z//'], (t) => t);
  assert.deepEqual(draw(root), [
    'a/b 1/3 a/b',
    ' c 0/2 a/b/c',
    '  d 1/1 a/b/c/d',
    '  e 1/1 a/b/c/e',
    'x 2/2 x',
    '/y 1/1 /y',
    'z// 1/1 z//',
  ]);
});

test('what fits is unfolded, level by level', () => {
  const root = grow(['a/1', 'a/2', 'b/1/x', 'b/1/y', 'b/2'], (t) => t);
  const open = new Set();
  unfold(root, open, 6);
  assert.deepEqual([...open], ['a', 'b']);
});
