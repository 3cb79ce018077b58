import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { noRates, type Observation, observe, type Rates, statedRates, statedTtft } from './rates.ts';

/** `b` replies that each say a token every `gapMs`, for `steps` steps. */
function decode(rates: Rates, b: number, gapMs: number, steps: number, fromMs: number): Rates {
  let now = rates;
  for (let i = 0; i < b; i++) now = observe(now, { kind: 'first-token' }, fromMs);
  for (let step = 1; step <= steps; step++)
    for (let i = 0; i < b; i++) now = observe(now, { kind: 'tokens', count: 1 }, fromMs + step * gapMs);
  for (let i = 0; i < b; i++) now = observe(now, { kind: 'last-token' }, fromMs + steps * gapMs);
  return now;
}

test('nothing is stated before fifty tokens at that concurrency', () => {
  assert.equal(statedRates(noRates), undefined);
  assert.equal(statedRates(decode(noRates, 1, 10, 49, 0)), undefined);
  assert.equal(statedRates(decode(noRates, 1, 10, 50, 0))?.decode[0]?.n, 50);
});

test('the speed is that of the whole backend, by how many replies decode', () => {
  const alone = decode(noRates, 1, 10, 100, 0);
  const together = decode(alone, 4, 20, 100, 5_000);
  const [one, four] = statedRates(together)?.decode ?? [];
  assert.equal(Math.round(one?.tps ?? 0), 100);
  assert.equal(four?.b, 4);
  assert.equal(Math.round(four?.tps ?? 0), 200);
});

test('an idle hour changes nothing, and a slower backend shows after a minute of work', () => {
  const fast = decode(noRates, 1, 10, 1_000, 0);
  const later = observe(fast, { kind: 'first-token' }, 3_600_000);
  assert.equal(Math.round(statedRates(later)?.decode[0]?.tps ?? 0), 100);
  const slow = decode(fast, 1, 100, 1_200, 3_600_000);
  assert.ok((statedRates(slow)?.decode[0]?.tps ?? 0) < 15);
});

test('while a generation shows no tokens, the speed of the others is not measured', () => {
  const busy = observe(noRates, { kind: 'opaque-begin' }, 0);
  assert.equal(statedRates(decode(busy, 1, 10, 100, 0)), undefined);
});

test('only uncached tokens count for prefill, and a cached prompt says nothing about its speed', () => {
  const timings = { cache_n: 500, prompt_n: 1, prompt_ms: 10, predicted_n: 1, predicted_ms: 1 };
  let rates = observe(noRates, { kind: 'prompt', timings: { ...timings, prompt_n: 100, prompt_ms: 500 } }, 1);
  for (let i = 0; i < 50; i++) rates = observe(rates, { kind: 'prompt', timings }, 2);
  assert.equal(statedRates(rates)?.prefillTps, 200);
});

test('times to first token are quantiles of recent ones', () => {
  let rates = noRates;
  for (let ms = 1; ms <= 100; ms++) rates = observe(rates, { kind: 'first-token', ttftMs: ms }, ms);
  assert.deepEqual(statedTtft(rates, 100), { p50: 50, p95: 95, n: 100 });
  assert.equal(statedTtft(rates, 3_600_000), undefined);
});

const anyObservation: fc.Arbitrary<Observation> = fc.oneof(
  fc.record({ kind: fc.constant('first-token' as const), ttftMs: fc.nat(1_000) }),
  fc.record({ kind: fc.constant('tokens' as const), count: fc.integer({ min: 1, max: 60 }) }),
  fc.constant({ kind: 'last-token' as const }),
  fc.constant({ kind: 'opaque-begin' as const }),
  fc.constant({ kind: 'opaque-end' as const }),
  fc.record({
    kind: fc.constant('prompt' as const),
    timings: fc.record({
      prompt_n: fc.nat(500),
      prompt_ms: fc.nat(500),
      predicted_n: fc.nat(),
      predicted_ms: fc.nat(),
    }),
  }),
);

test('whatever happens in whatever order, every stated figure is a positive finite number', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyObservation, fc.nat(100)), { maxLength: 200 }), (steps) => {
      let rates = noRates;
      let nowMs = 0;
      for (const [observation, afterMs] of steps) {
        nowMs += afterMs;
        rates = observe(rates, observation, nowMs);
      }
      const stated = statedRates(rates);
      for (const { b, tps, n } of stated?.decode ?? [])
        assert.ok(b >= 1 && tps > 0 && Number.isFinite(tps) && n >= 1);
      if (stated?.prefillTps !== undefined)
        assert.ok(stated.prefillTps > 0 && Number.isFinite(stated.prefillTps));
    }),
  );
});
