import test from 'node:test';
import assert from 'node:assert/strict';
import { ticks, timeMarks } from '../static/ui/chart.js';

test('an axis has round numbers that hold the highest value', () => {
  for (const [top, want] of [
    [0, [0, 1]],
    [4, [0, 1, 2, 3, 4]],
    [17, [0, 5, 10, 15, 20]],
    [1234, [0, 500, 1000, 1500]],
    [0.03, [0, 0.01, 0.02, 0.03]],
  ]) {
    assert.deepEqual(
      ticks(top).map((v) => Number(v.toPrecision(6))),
      want,
      String(top),
    );
  }
  assert.deepEqual(
    ticks(3 * 2 ** 20, 1024).map((v) => v / 2 ** 20),
    [0, 1, 2, 3],
  );
  const marks = timeMarks(Date.UTC(2030, 0, 1, 0, 0, 7), Date.UTC(2030, 0, 1, 0, 5, 7));
  assert.ok(marks.length > 1 && marks.length <= 6 && marks.every((t) => t % 60000 === 0));
});
