import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aPolicy } from '../../testing/builders.ts';
import { admission, type Breaker, closedBreaker, observe, passTime } from './breaker.ts';

const rules = aPolicy().breaker;
const after = (outcomes: readonly boolean[], from: Breaker = closedBreaker, nowMs = 0): Breaker =>
  outcomes.reduce((breaker, ok) => observe(breaker, ok, rules, nowMs), from);
const fails = (n: number): boolean[] => Array.from({ length: n }, () => false);
const opened = after(fails(5));
const halfOpen = passTime(opened, 30_000);

test('five failures in a row open it, four do not', () => {
  assert.equal(after(fails(4)).state, 'closed');
  assert.equal(opened.state, 'open');
  assert.equal(after([...fails(4), true, ...fails(4)]).state, 'closed');
});

test('half of twenty recent jobs failing opens it, and failures out of the window do not count', () => {
  const mixed = Array.from({ length: 20 }, (_, n) => n % 2 === 0);
  assert.equal(after(mixed).state, 'open');
  const old = after(mixed.slice(0, 19));
  assert.equal(after([false], old, 60_000).state, 'closed');
});

test('an open breaker refuses until its time is up, then lets one probe at a time through', () => {
  assert.equal(passTime(opened, 29_999).state, 'open');
  assert.equal(admission(opened, 0, 1_000).allowed, false);
  assert.equal(halfOpen.state, 'half-open');
  assert.equal(admission(halfOpen, 0, 30_000).allowed, true);
  assert.equal(admission(halfOpen, 1, 30_000).allowed, false);
});

test('two successful probes close it, one failure opens it for longer', () => {
  assert.equal(after([true], halfOpen, 30_000).state, 'half-open');
  assert.equal(after([true, true], halfOpen, 30_000).state, 'closed');
  const again = after([false], halfOpen, 30_000);
  assert.ok(again.state === 'open' && again.untilMs === 30_000 + 60_000 && again.opens === 2);
});

test('it never stays open for longer than the limit', () => {
  let breaker = opened;
  let nowMs = 0;
  for (let n = 0; n < 30; n++) {
    assert.ok(breaker.state === 'open' && breaker.untilMs - nowMs <= rules.openMaxMs);
    nowMs = breaker.untilMs;
    breaker = observe(passTime(breaker, nowMs), false, rules, nowMs);
  }
});

test('from whatever history, time and successes close it', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (history) => {
      const later = passTime(after(history), 1e9);
      assert.equal(after([true, true], later, 1e9).state, 'closed');
    }),
  );
});
