import test from 'node:test';
import assert from 'node:assert/strict';
import * as f from '../static/lib/format.js';
import { parse, link } from '../static/lib/router.js';
import { query, path } from '../static/lib/api.js';

test('numbers have separators, and fractions only where they say something', () => {
  assert.deepEqual([1234567, 0, 0.1234, 9.876, 12.3, null, -5].map(f.number), ['1,234,567', '0', '0.123', '9.88', '12', '–', '-5']);
  assert.equal(f.count(1, 'client'), '1 client');
  assert.equal(f.count(2000, 'client'), '2,000 clients');
});

test('sizes and durations have units', () => {
  assert.deepEqual([0, 1023, 1536, 5 * 2 ** 30].map(f.bytes), ['0 B', '1,023 B', '1.5 KiB', '5 GiB']);
  assert.deepEqual([0, 0.0000021, 0.0021, 1.5, 90, 3600, 604800, 90061].map(f.seconds), [
    '0 s',
    '2.1 µs',
    '2.1 ms',
    '1.5 s',
    '1 min 30 s',
    '1 h',
    '7 d',
    '1 d 1 h',
  ]);
  assert.deepEqual([0, 0xffffffff, 60].map(f.expiry), ['with the connection', 'never', '1 min']);
});

test('times are told from now', () => {
  const now = Date.parse('2030-01-02T00:00:00Z');
  assert.deepEqual(
    ['2030-01-01T23:59:58Z', '2030-01-01T23:59:20Z', '2030-01-01T23:50:00Z', '2029-12-31T00:00:00Z', '2030-01-02T02:00:00Z'].map((t) =>
      f.ago(t, now),
    ),
    ['now', '40 sec. ago', '10 min. ago', '2 days ago', 'in 2 hr.'],
  );
  assert.equal(f.plainTime(1893542400).toISOString(), '2030-01-02T00:00:00.000Z');
  assert.equal(f.plainTime(1893542400000).toISOString(), '2030-01-02T00:00:00.000Z');
  assert.equal(f.plainTime('infinity'), null);
});

test('an address holds any client id and its filters', () => {
  const id = 'a/b ?c#d%e+ü';
  assert.deepEqual(parse(link('clients', id, { q: 'x&y=z' })), { parts: ['clients', id], query: { q: 'x&y=z' } });
  assert.deepEqual(parse(''), { parts: [], query: {} });
  assert.deepEqual(parse('#/clients/%zz').parts, ['clients', '%zz']);
  assert.equal(path`clients/${id}/x`, `clients/${encodeURIComponent(id)}/x`);
  assert.equal(query({ a: '', b: null, c: 0, d: ['1', '2'], e: 'x y' }), '?c=0&d=1&d=2&e=x+y');
});
