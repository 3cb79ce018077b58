import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dayMs, periodAround, periods } from './period.ts';

test('a day and a month are those of UTC', () => {
  const at = Date.parse('2024-02-29T23:59:59.999Z');
  const shown = ({ fromMs, toMs }: ReturnType<typeof periodAround>) =>
    [fromMs, toMs].map((ms) => new Date(ms).toISOString().slice(0, 10));
  assert.deepEqual(shown(periodAround('day', at)), ['2024-02-29', '2024-03-01']);
  assert.deepEqual(shown(periodAround('month', at)), ['2024-02-01', '2024-03-01']);
  assert.deepEqual(shown(periodAround('month', Date.parse('2025-12-31T00:00:00Z'))), [
    '2025-12-01',
    '2026-01-01',
  ]);
});

test('a period holds its moment, is made of whole days, and is followed by the next without a gap', () => {
  fc.assert(
    fc.property(fc.constantFrom(...periods), fc.integer({ min: 0, max: 4e12 }), (period, nowMs) => {
      const { fromMs, toMs } = periodAround(period, nowMs);
      assert.ok(fromMs <= nowMs && nowMs < toMs);
      assert.equal(fromMs % dayMs, 0);
      assert.equal(periodAround(period, toMs).fromMs, toMs);
    }),
  );
});
