import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tariff } from '@drover/schemas';
import fc from 'fast-check';
import { given, refuse } from './answer.ts';
import { judge } from './judge.ts';

const nowMs = Date.parse('2025-10-20T12:00:00Z');
const rules = { maxChange: 10, nowMs };
const ago = (ms: number) => new Date(nowMs - ms).toISOString();
const tariff = (usdPerHour: number, more: Partial<Tariff> = {}): Tariff => ({
  v: 1,
  usdPerHour,
  market: 'spot',
  overheadFactor: 1,
  source: 'test',
  asOf: ago(0),
  validForMs: 3_600_000,
  ...more,
});
const price = fc.double({ min: 1e-6, max: 1e6, noNaN: true });

test('a believable price is written, whatever it was before', () => {
  fc.assert(
    fc.property(price, fc.double({ min: 0.11, max: 9.9, noNaN: true }), (before, times) => {
      const offered = tariff(before * times);
      const verdict = judge({ tariff: tariff(before, { asOf: ago(1_000) }) }, given(offered), rules);
      assert.deepEqual(verdict, { kind: 'write', tariff: offered });
    }),
  );
  assert.equal(judge(undefined, given(tariff(1e6)), rules).kind, 'write');
});

test('a price of more than ten times the last one, or less than a tenth of it, is refused and never written', () => {
  fc.assert(
    fc.property(price, fc.double({ min: 10.1, max: 1e6, noNaN: true }), fc.boolean(), (before, times, up) => {
      const offered = tariff(up ? before * times : before / times);
      const verdict = judge({ tariff: tariff(before) }, given(offered), rules);
      assert.equal(verdict.kind === 'refuse' && verdict.code, 'jump');
    }),
  );
});

test('a token price that jumps is refused too', () => {
  const external = (output: number) => tariff(0, { usdPerMillion: { prompt: 0.5, output } });
  const verdict = judge({ tariff: external(1.5) }, given(external(1_500)), rules);
  assert.equal(verdict.kind === 'refuse' && verdict.code, 'jump');
  assert.equal(judge({ tariff: external(1.5) }, given(external(2)), rules).kind, 'write');
});

test('a price of nothing is refused, except for the hour of a provider that charges by token', () => {
  for (const offered of [tariff(0), tariff(0, { usdPerMillion: { prompt: 0, output: 1 } })]) {
    const verdict = judge(undefined, given(offered), rules);
    assert.equal(verdict.kind === 'refuse' && verdict.code, 'not-positive');
  }
});

test('a price from the future is refused: it would never grow stale', () => {
  const verdict = judge(undefined, given(tariff(1, { asOf: ago(-600_000) })), rules);
  assert.equal(verdict.kind === 'refuse' && verdict.code, 'future');
});

test("a person's price stays until it lapses, whatever a feeder says, and for good without a lifetime", () => {
  const answers = [given(tariff(1)), refuse('unreachable', 'nobody there')];
  for (const answer of answers)
    for (const held of [
      tariff(5, { asOf: ago(3_599_000) }),
      (({ validForMs: _, ...rest }) => rest)(tariff(5, { asOf: ago(9e9) })),
    ])
      assert.deepEqual(judge({ tariff: held, by: 'ann' }, answer, rules), { kind: 'keep', why: 'held' });
});

test("a person's price that has lapsed gives way, however far the next one is from it", () => {
  const lapsed = { tariff: tariff(500, { asOf: ago(3_601_000) }), by: 'ann' };
  assert.equal(judge(lapsed, given(tariff(0.1)), rules).kind, 'write');
});

test('what a feeder could not say keeps its code', () => {
  assert.deepEqual(judge({ tariff: tariff(1) }, refuse('denied', 'HTTP 403'), rules), {
    kind: 'refuse',
    code: 'denied',
    problem: 'HTTP 403',
  });
});

test('the same tariff is not written again, in whatever order it is', () => {
  const reordered = Object.fromEntries(Object.entries(tariff(1)).toReversed()) as Tariff;
  assert.deepEqual(judge({ tariff: tariff(1) }, given(reordered), rules), { kind: 'keep', why: 'unchanged' });
  assert.equal(judge({ tariff: tariff(1) }, given(tariff(1, { asOf: ago(1) })), rules).kind, 'write');
});
