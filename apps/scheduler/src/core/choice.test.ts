import assert from 'node:assert/strict';
import test from 'node:test';
import type { PolicyInput } from '@drover/schemas';
import fc from 'fast-check';
import {
  aCandidate,
  aContext,
  anAsk,
  aPolicy,
  aRequest,
  aTariff,
  aView,
  cluster,
} from '../../testing/builders.ts';
import { decide } from './decide.ts';
import type { Ask, Candidate, Context } from './types.ts';

/** What the parts of the choice do, each alone. */
function chosen(
  fleet: Candidate[],
  change: Partial<PolicyInput> = {},
  more: Partial<Context> = {},
  ask?: Ask,
) {
  const decision = decide(ask ?? anAsk(), fleet, aContext({ policy: aPolicy(change), ...more }));
  assert.ok(decision.kind === 'assign', decision.kind);
  return decision;
}
const scaling = {};

test('where clusters sleep, a busy one is cheaper than a dear idle one and than a cheap one that has long been idle', () => {
  const busy = aCandidate('aws', { load: 1 });
  const idle = aCandidate('gcp', { idleMs: 200_000, tariff: aTariff(0.08) });
  assert.equal(chosen([busy, idle], { scaling }).cluster, 'aws');
  assert.equal(chosen([busy, idle]).cluster, 'gcp', 'where none sleeps, idle time is paid anyway');
  assert.equal(chosen([busy, idle], { scaling, costBasis: 'share' }).cluster, 'gcp');
});

test('a price past its time counts as dearer by the markup, and the price itself stays', () => {
  const stale = aCandidate('aws', { tariff: { ...aTariff(0.1), validForMs: 1_000 } });
  const fresh = aCandidate('gcp', { tariff: aTariff(0.105) });
  const nowMs = Date.parse('2025-06-01T00:00:00Z');
  const late = anAsk(aRequest({ deadlineAtMs: nowMs + 60_000 }));
  assert.equal(chosen([stale, fresh], { nearTie: 0 }, { nowMs }, late).cluster, 'gcp');
  const trusting = chosen([stale, fresh], { nearTie: 0, stalePriceMarkup: 0 }, { nowMs }, late);
  assert.equal(trusting.cluster, 'aws');
  assert.equal(trusting.chosen.candidate.tariff?.usdPerHour, 0.1);
});

test('a beginning that is cached is worth its tokens, for this request only', () => {
  const prompt = 'x'.repeat(4_000);
  const ask = anAsk(aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: prompt }] } }));
  const fleet = [
    aCandidate('aws', { tariff: aTariff(0.1) }),
    aCandidate('gcp', { tariff: aTariff(0.11), cachedTokens: 900 }),
  ];
  const incumbent = { cluster: cluster('aws'), sinceMs: -1e6 };
  const decision = chosen(fleet, {}, { incumbent }, ask);
  assert.deepEqual(
    [decision.cluster, decision.rule, decision.incumbent],
    ['gcp', 'prefix-cached', incumbent],
  );
  assert.equal(chosen(fleet, { affinity: { enabled: false } }, { incumbent }, ask).cluster, 'aws');
});

test('a cache is worth no more than its tokens: a much dearer cluster does not get the request for it', () => {
  const fleet = [
    aCandidate('aws', { tariff: aTariff(0.1) }),
    aCandidate('gcp', { tariff: aTariff(1), cachedTokens: 900 }),
  ];
  assert.equal(chosen(fleet).cluster, 'aws');
});

test('a cluster much fuller than the others gets no credit for its cache', () => {
  const prompt = 'x'.repeat(4_000);
  const ask = anAsk(aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: prompt }] } }));
  const full = aCandidate('gcp', { load: 3, cachedTokens: 900, tariff: aTariff(0.13) });
  const decision = chosen([full, aCandidate('aws')], {}, {}, ask);
  assert.equal(decision.cluster, 'aws');
});

test('exploration takes its share of the draws and gives every other feasible cluster its part', () => {
  const fleet = ['aws', 'gcp', 'lab'].map((name, index) =>
    aCandidate(name, { tariff: aTariff(0.1 + index) }),
  );
  const draws = Array.from({ length: 1_000 }, (_, n) =>
    chosen(fleet, { exploration: 0.1 }, { random: n / 1_000 }),
  );
  const explored = draws.filter(({ rule }) => rule === 'explored');
  assert.ok(Math.abs(explored.length - 100) <= 1, `${explored.length}`);
  const toGcp = explored.filter((one) => one.cluster === 'gcp').length;
  assert.ok(Math.abs(toGcp - 50) <= 1, `${toGcp}`);
  assert.ok(draws.every(({ incumbent }) => incumbent?.cluster === 'aws'));
});

test('of clusters that make the deadline, those that make it with a long answer come first, whatever they cost', () => {
  const estimate = {
    promptTokens: 10,
    outputTokens: 100,
    outputTokensHigh: 400,
    outputBasis: 'learned',
  } as const;
  const ask = anAsk(aRequest({ deadlineAtMs: 10_000 }), { estimate });
  const fast = aView('gcp', { rates: { prefillTps: 200, decode: [{ b: 1, tps: 80, n: 9 }] } });
  const fleet = [
    aCandidate('aws', { tariff: aTariff(0.01) }),
    aCandidate('gcp', { view: fast, tariff: aTariff(9) }),
  ];
  assert.equal(chosen(fleet, {}, {}, ask).cluster, 'gcp');
  assert.equal(chosen(fleet, { longAnswers: false }, {}, ask).cluster, 'aws');
});

const hurried = (priority: string) =>
  anAsk(aRequest({ priority, deadlineAtMs: 1_000 }), {
    estimate: { promptTokens: 10, outputTokens: 100, outputTokensHigh: 100, outputBasis: 'learned' },
  });

test('when no cluster can be in time, each priority goes its own way', () => {
  const fleet = [aCandidate('aws', { load: 2 }), aCandidate('gcp', { load: 1 })];
  const leastBad = decide(hurried('interactive'), fleet, aContext());
  assert.ok(leastBad.kind === 'assign');
  assert.deepEqual([leastBad.cluster, leastBad.rule, leastBad.incumbent], ['gcp', 'least-bad', undefined]);
  assert.equal(decide(hurried('standard'), fleet, aContext()).kind, 'defer');
  const refused = decide(hurried('batch'), fleet, aContext());
  assert.ok(refused.kind === 'reject');
  assert.equal(refused.code, 'queue_full');
  assert.ok((refused.retryAfterMs ?? -1) > 0);
});

test('a prompt too long for the limit on the first token does not wait for a moment that never comes', () => {
  const policy = aPolicy({ ttftMaxMs: 1 });
  for (const priority of ['interactive', 'standard', 'batch']) {
    const ask = anAsk(aRequest({ priority }));
    const busy = decide(ask, [aCandidate('aws', { load: 1 })], aContext({ policy }));
    assert.equal(busy.kind, priority === 'interactive' ? 'assign' : 'defer');
    const idle = decide(ask, [aCandidate('aws'), aCandidate('gcp', { load: 1 })], aContext({ policy }));
    assert.ok(idle.kind === 'assign');
    assert.deepEqual([idle.cluster, idle.rule], ['aws', 'least-bad']);
  }
});

test('a batch request is not refused early while a cluster that is not ready yet may be quick enough', () => {
  const booting = aCandidate('gcp', { view: aView('gcp', { phase: 'booting', slots: 0, nodes: 0 }) });
  assert.equal(decide(hurried('batch'), [aCandidate('aws', { load: 1 }), booting], aContext()).kind, 'defer');
});

test('whoever has to wait for a slot hears for about how long', () => {
  const decision = decide(anAsk(), [aCandidate('aws', { load: 4 })], aContext());
  assert.ok(decision.kind === 'defer' && (decision.etaMs ?? 0) > 0);
  assert.equal(decide(anAsk(), [], aContext()).kind === 'defer', true);
});

test('the score never rewards a price that is higher, whatever the parts of the policy', () => {
  const anyChange: fc.Arbitrary<Partial<PolicyInput>> = fc.record({
    costBasis: fc.constantFrom('marginal', 'share', 'nominal' as const),
    residuals: fc.boolean(),
    exploration: fc.constant(0),
    nearTie: fc.constant(0),
    ...{ scaling: fc.constant({}) },
  });
  fc.assert(
    fc.property(
      anyChange,
      fc.double({ min: 1, max: 50, noNaN: true }),
      fc.nat({ max: 3 }),
      (change, factor, load) => {
        const at = (usd: number) => [
          aCandidate('aws', { load, tariff: aTariff(usd) }),
          aCandidate('gcp', { load }),
        ];
        if (chosen(at(0.1 * factor), change).cluster === 'aws')
          assert.equal(chosen(at(0.1), change).cluster, 'aws');
      },
    ),
  );
});
