import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aTariff } from '../../testing/builders.ts';
import { marginalUsd, shareUsd, type Work } from './marginal.ts';

const anyWork: fc.Arbitrary<Work> = fc.record({
  nodeSeconds: fc.double({ min: 0, max: 1e4, noNaN: true }),
  idleSeconds: fc.double({ min: 0, max: 600, noNaN: true }),
  totalSeconds: fc.double({ min: 0, max: 1e4, noNaN: true }),
  bootSeconds: fc.double({ min: 0, max: 600, noNaN: true }),
  promptTokens: fc.nat({ max: 10_000 }),
  outputTokens: fc.nat({ max: 10_000 }),
});
const work: Work = {
  nodeSeconds: 10,
  idleSeconds: 0,
  totalSeconds: 20,
  bootSeconds: 60,
  promptTokens: 100,
  outputTokens: 100,
};

test('what a request adds is never less than its share of the node, and only more where there is something to add', () => {
  fc.assert(
    fc.property(anyWork, (one) => {
      const added = marginalUsd(aTariff(0.1), one);
      assert.ok(added >= shareUsd(aTariff(0.1), one));
      if (one.idleSeconds === 0) assert.equal(added, shareUsd(aTariff(0.1), one));
    }),
  );
});

test('an idle node costs the time it would have been released earlier', () => {
  const idle = marginalUsd(aTariff(3_600), { ...work, idleSeconds: 300 });
  assert.equal(idle - marginalUsd(aTariff(3_600), work), 300);
});

test('a node that may be taken away costs half the answer and a boot, by the chance of it', () => {
  const risky = { ...aTariff(3_600), preemptPerHour: 18 };
  // A chance of 0.1 within 20 s: 0.1 × 0.5 × 10 s of work, 0.1 × 60 s of boot.
  assert.equal(marginalUsd(risky, work).toFixed(9), (10 + 0.5 + 6).toFixed(9));
});

test('traffic out is charged by the token, and is small', () => {
  const metered = { ...aTariff(0), egressUsdPerGb: 0.09 };
  assert.equal(marginalUsd(metered, { ...work, outputTokens: 1_000 }).toFixed(9), '0.000027000');
});

test('a provider without nodes charges for its tokens alone', () => {
  const external = { ...aTariff(0), usdPerMillion: { prompt: 1, output: 3 } };
  assert.equal(shareUsd(external, { ...work, promptTokens: 1_000_000, outputTokens: 1_000_000 }), 4);
  assert.equal(marginalUsd(external, { ...work, idleSeconds: 300 }), shareUsd(external, work));
});
