import assert from 'node:assert/strict';
import test from 'node:test';
import { type DecisionRecord, decisionRecord } from '@drover/schemas';
import fc from 'fast-check';
import {
  aCandidate,
  aContext,
  anAsk,
  aPolicy,
  aRequest,
  aTariff,
  aView,
  aWaiting,
  cluster,
} from '../../testing/builders.ts';
import { decide } from './decide.ts';
import { decisionRecordOf } from './record.ts';
import { replay, verdictOf, verdictOfReplay } from './replay.ts';
import type { Candidate, Context } from './types.ts';

const names = ['aws', 'gcp', 'lab'];
const figure = (max: number) => fc.double({ min: 0, max, noNaN: true });
const anyCandidate = (name: string): fc.Arbitrary<Candidate> =>
  fc
    .record({
      load: fc.nat({ max: 5 }),
      usd: figure(3),
      tps: fc.double({ min: 0.1, max: 500, noNaN: true }),
      idleMs: fc.option(figure(1e6), { nil: undefined }),
      residual: fc.option(fc.double({ min: 0.5, max: 3, noNaN: true }), { nil: undefined }),
      cachedTokens: fc.option(figure(500), { nil: undefined }),
      phase: fc.constantFrom('ready', 'ready', 'ready', 'silent', 'booting' as const),
      open: fc.boolean(),
    })
    .map(({ load, usd, tps, idleMs, residual, cachedTokens, phase, open }) =>
      aCandidate(name, {
        view: aView(name, {
          phase,
          reportAgeMs: tps,
          rates: { prefillTps: tps * 9, decode: [{ b: 1, tps, n: 5 }] },
        }),
        load,
        tariff: { ...aTariff(usd), preemptPerHour: usd, egressUsdPerGb: 0.09 },
        breaker: { allowed: !open, detail: 'x', opens: open ? 2 : 0 },
        ...(idleMs === undefined ? {} : { idleMs }),
        ...(residual === undefined ? {} : { residual }),
        ...(cachedTokens === undefined ? {} : { cachedTokens }),
      }),
    );
const anyFleet = fc.tuple(...names.map(anyCandidate));
const anyContext: fc.Arbitrary<Context> = fc.record({
  policy: fc.constantFrom(
    aPolicy(),
    aPolicy({ scaling: {}, exploration: 0.3 }),
    aPolicy({ strategy: 'latency' }),
    aPolicy({ strategy: 'weighted', weights: Object.fromEntries(names.map((n) => [cluster(n), 1])) }),
    aPolicy({ costBasis: 'nominal', switchMargin: 0, dwellMs: 0 }),
  ),
  nowMs: figure(1e6),
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  incumbent: fc.constant({ cluster: cluster('gcp'), sinceMs: Number.MIN_SAFE_INTEGER }),
});

/** A decision as it goes over the wire and comes back; undefined for one that is not recorded. */
function recorded(
  fleet: readonly Candidate[],
  context: Context,
  priority = 'batch',
  bound: { regions?: string[] } = {},
): DecisionRecord | undefined {
  const asked = aRequest({ priority, maxUsdPer1k: 0.5, ...bound });
  const ask = anAsk(asked);
  const decision = decide(ask, fleet, context);
  if (decision.kind === 'defer') return undefined;
  const verdict =
    decision.kind === 'assign'
      ? ({ kind: 'assign', cluster: decision.cluster, rule: decision.rule } as const)
      : ({ kind: 'reject', rule: decision.code } as const);
  const policy = { value: context.policy, revision: 1 };
  const waiting = aWaiting({ priority });
  const record = decisionRecordOf(
    waiting,
    ask.estimate,
    verdict,
    decision.considered,
    policy,
    context.nowMs,
    decision.basis,
  );
  return decisionRecord.parse(JSON.parse(JSON.stringify(record)));
}

test('a recorded decision gives itself again, to the last bit of every figure', () => {
  let compared = 0;
  fc.assert(
    fc.property(anyFleet, anyContext, (fleet, context) => {
      const record = recorded(fleet, context);
      if (!record) return;
      const again = replay(record);
      assert.ok(again);
      assert.equal(verdictOfReplay(again, record.decidedAtMs), verdictOf(record));
      compared++;
    }),
    { numRuns: 300 },
  );
  assert.ok(compared > 100, `${compared} decisions were compared`);
});

test('another policy may choose otherwise on the same inputs', () => {
  const fleet = [
    aCandidate('aws', { tariff: aTariff(0.01), load: 3 }),
    aCandidate('gcp', { tariff: aTariff(9) }),
  ];
  const record = recorded(fleet, { policy: aPolicy(), nowMs: 0, random: 0.5 }, 'standard');
  assert.ok(record);
  assert.equal(record.chosen, 'aws');
  const other = replay(record, aPolicy({ strategy: 'latency' }));
  assert.equal(other?.kind === 'assign' && other.cluster, 'gcp');
});

test('at three clusters a record with its inputs is below 8 KB, and it holds no word of the prompt', () => {
  const asked = aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: 'a secret word' }] } });
  const context = { policy: aPolicy({ scaling: {} }), nowMs: 0, random: 0.123_456_789_012_345 };
  const slots = Array.from({ length: 8 }, (_, index) => ({
    b: index + 1,
    tps: 12.345_678_901_234 + index,
    n: 123_456,
  }));
  const fleet = names.map((name) =>
    aCandidate(name, {
      view: aView(name, { rates: { prefillTps: 123.456_789_012_345, decode: slots }, bootMs: 61_234.567 }),
      idleMs: 123_456.789,
      residual: 1.234_567_890_123,
      cachedTokens: 123.456_789,
      realisedUsdPer1k: 0.001_234_567_890_123,
    }),
  );
  const decision = decide(anAsk(asked), fleet, context);
  assert.ok(decision.kind === 'assign');
  const { cluster: to, rule, considered, basis } = decision;
  const policy = { value: context.policy, revision: 1 };
  const waiting = { ...aWaiting(), request: asked };
  const record = decisionRecordOf(
    waiting,
    basis.ask.estimate,
    { kind: 'assign', cluster: to, rule },
    considered,
    policy,
    0,
    basis,
  );
  const text = JSON.stringify(record);
  assert.ok(text.length < 8_192, `${text.length} bytes`);
  assert.ok(!text.includes('secret'));
});

test('a large fleet is recorded without its inputs, and so is any where the policy wants none', () => {
  const fleet = Array.from({ length: 40 }, (_, index) => aCandidate(`c${index}`));
  assert.equal(recorded(fleet, { policy: aPolicy(), nowMs: 0, random: 0 })?.inputs, undefined);
  const few = [aCandidate('aws')];
  assert.ok(recorded(few, { policy: aPolicy(), nowMs: 0, random: 0 })?.inputs);
  assert.equal(
    recorded(few, { policy: aPolicy({ snapshots: false }), nowMs: 0, random: 0 })?.inputs,
    undefined,
  );
});

test('a decision that was bound to regions is bound to them when it is replayed', () => {
  const fleet = [
    aCandidate('aws', { tariff: { ...aTariff(0.01), region: 'us-east-1' } }),
    aCandidate('gcp', { tariff: { ...aTariff(0.1), region: 'eu-west-1' } }),
  ];
  const record = recorded(fleet, aContext(), 'batch', { regions: ['eu-'] });
  assert.ok(record);
  assert.equal(record.chosen, 'gcp');
  const again = replay(record);
  assert.ok(again);
  assert.equal(verdictOfReplay(again, record.decidedAtMs), verdictOf(record));
});
