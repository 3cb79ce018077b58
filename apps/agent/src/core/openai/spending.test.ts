import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  current,
  type Hold,
  hold,
  leftUsd,
  noSpending,
  resumesInMs,
  settled,
  usdOf,
  withUnpriced,
} from './spending.ts';

const noon = Date.UTC(2026, 0, 31, 12);
const tomorrow = Date.UTC(2026, 1, 1);
const prices = { prompt: 0.001, output: 0.004 };

test('whatever is held and settled in whatever order, the sums of bounds and costs never exceed a budget', () => {
  const step = fc.record({
    boundUsd: fc.double({ min: 0, max: 1, noNaN: true }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    settles: fc.boolean(),
    gapMs: fc.integer({ min: 0, max: 20_000_000 }),
  });
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 3, noNaN: true }),
      fc.double({ min: 0.1, max: 5, noNaN: true }),
      fc.array(step, { maxLength: 60 }),
      (day, month, steps) => {
        const budget = { day, month };
        let spending = noSpending(noon);
        let nowMs = noon;
        const open: { held: Hold; share: number }[] = [];
        for (const { boundUsd, share, settles, gapMs } of steps) {
          nowMs += gapMs;
          const first = settles ? open.shift() : undefined;
          if (first) spending = settled(spending, first.held, first.held.usd * first.share, nowMs);
          const taken = hold(spending, budget, prices, boundUsd, nowMs);
          if (taken) {
            spending = taken.next;
            open.push({ held: taken.hold, share });
          }
          assert.ok(leftUsd(spending, budget, nowMs) >= -1e-9);
        }
      },
    ),
  );
});

test('a period begins with nothing spent, and what was held in the last one stays there', () => {
  const taken = hold(noSpending(noon), { day: 1 }, prices, 0.9, noon);
  assert.ok(taken);
  assert.equal(leftUsd(taken.next, { day: 1 }, tomorrow), 1);
  const after = settled(taken.next, taken.hold, 0.1, tomorrow);
  assert.deepEqual([after.day, after.month.usd], [{ period: '2026-02-01', usd: 0 }, 0]);
});

test('a clock that is behind does not begin an old period again', () => {
  const taken = hold(noSpending(tomorrow), { day: 1 }, prices, 0.9, tomorrow);
  assert.ok(taken);
  assert.equal(current(taken.next, noon).day.usd, 0.9);
  assert.equal(hold(taken.next, { day: 1 }, prices, 0.2, noon), undefined);
});

test('the budget comes back with the next day, or with the next month if that is what is spent', () => {
  const taken = hold(noSpending(noon), {}, prices, 0.9, noon);
  assert.ok(taken);
  assert.equal(resumesInMs(taken.next, { day: 1 }, 0.2, noon), 12 * 3_600_000);
  const inMay = Date.UTC(2026, 4, 5);
  const spent = hold(noSpending(inMay), {}, prices, 5, inMay);
  assert.ok(spent);
  assert.equal(resumesInMs(spent.next, { day: 1, month: 5 }, 0.2, inMay), Date.UTC(2026, 5) - inMay);
});

test('tokens without a price are paid for by the next request, whose price is known', () => {
  const before = withUnpriced(noSpending(noon), 1_000, 100);
  const taken = hold(before, { day: 1 }, prices, 0.5, noon);
  assert.ok(taken);
  assert.equal(taken.next.day.usd, 0.5 + usdOf(prices, 1_000, 100));
  assert.deepEqual(taken.next.unpriced, { promptTokens: 0, completionTokens: 0 });
});
