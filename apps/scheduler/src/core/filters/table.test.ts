import assert from 'node:assert/strict';
import test from 'node:test';
import { type RejectionCode, rejectionCodes } from '@drover/schemas';
import { aCandidate, anAsk, aPolicy, aRequest, aTariff, aView, cluster } from '../../../testing/builders.ts';
import { decide } from '../decide.ts';
import type { Ask, Candidate, Context } from '../types.ts';
import { filters } from './table.ts';

type Situation = { ask?: Ask; candidate?: Candidate; context?: Partial<Context> };

const { tariff: _t, ...withoutTariff } = aCandidate('aws');
const { rates: _r, ...viewWithoutRates } = aView('aws');
const withView = (change: Parameters<typeof aView>[1]): Situation => ({
  candidate: aCandidate('aws', { view: aView('aws', change) }),
});
const long = aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: 'x'.repeat(40_000) }] } });

/** For each code, a situation in which exactly that refuses the only cluster. */
const situations: Record<RejectionCode, Situation> = {
  'model-not-served': { ask: anAsk(aRequest(), { model: 'other' }) },
  'endpoint-not-served': {
    ask: anAsk(aRequest({ endpoint: 'embedding', body: { model: 'm1', input: 'x' } })),
  },
  'context-too-small': { ask: anAsk(long) },
  'model-hash-differs': { ask: anAsk(aRequest(), { modelHash: 'another' }) },
  excluded: { ask: anAsk(aRequest(), { leave: cluster('aws') }) },
  cordoned: { candidate: aCandidate('aws', { cordon: 'maintenance' }) },
  booting: withView({ phase: 'booting', nodes: 0, slots: 0 }),
  draining: withView({ phase: 'draining', nodes: 0, slots: 0 }),
  'backend-down': withView({ phase: 'down', nodes: 0, slots: 0 }),
  'report-stale': withView({ phase: 'silent', nodes: 0, slots: 0 }),
  'breaker-open': {
    candidate: aCandidate('aws', { breaker: { allowed: false, detail: 'open', opens: 1 } }),
  },
  'price-unknown': { candidate: withoutTariff },
  'rates-unknown': { candidate: aCandidate('aws', { view: viewWithoutRates }) },
  'price-above-ceiling': { ask: anAsk(aRequest({ maxUsdPer1k: 0.000_001 })) },
  'region-not-allowed': {
    ask: anAsk(aRequest({ regions: ['eu-'] })),
    candidate: aCandidate('aws', { tariff: { ...aTariff(), region: 'us-east-1' } }),
  },
  'provider-not-allowed': {
    ...withView({ provider: {} }),
    context: { policy: aPolicy({ providers: 'off' }) },
  },
  'provider-limited': {
    candidate: aCandidate('aws', {
      view: aView('aws', {
        slots: 0,
        provider: { limit: { reason: 'requests-per-minute', resumesInMs: 900 } },
      }),
      tariff: { ...aTariff(0), usdPerMillion: { prompt: 1, output: 1 } },
    }),
  },
  'no-free-slot': { candidate: aCandidate('aws', { load: 4 }) },
  'queue-too-deep': {
    candidate: aCandidate('aws', { load: 6 }),
    context: { policy: aPolicy({ bufferSlots: 5, queueDepthMax: 1 }) },
  },
  // Without a job it would be as quick as ever, and take it.
  'ttft-too-long': {
    candidate: aCandidate('aws', { load: 1 }),
    context: { policy: aPolicy({ ttftMaxMs: 1 }) },
  },
  'deadline-too-close': { context: { nowMs: 999_999 } },
  'no-weight': {
    context: { policy: aPolicy({ strategy: 'weighted', weights: { [cluster('gcp')]: 1 } }) },
  },
};

for (const code of rejectionCodes)
  test(`a cluster can be refused for ${code}`, () => {
    const { ask = anAsk(), candidate = aCandidate('aws'), context } = situations[code];
    const decision = decide(ask, [candidate], { policy: aPolicy(), nowMs: 0, random: 0, ...context });
    if (code === 'breaker-open') {
      // The last cluster is not taken away by its breaker, but the reason stays on record.
      assert.equal(decision.kind === 'assign' && decision.rule, 'breaker-failed-open');
      return;
    }
    assert.equal(decision.considered[0]?.rejection?.code, code);
    const permanent = filters.find((filter) => filter.code === code)?.permanent;
    assert.equal(decision.kind, permanent ? 'reject' : 'defer');
  });

test('every code of the contract has one filter', () => {
  assert.deepEqual(filters.map(({ code }) => code).toSorted(), [...rejectionCodes].toSorted());
});

test('a prompt that only seems too long for the largest context is left to the backend to judge', () => {
  const text = 'x'.repeat(2_048 * 4 + 400);
  const ask = anAsk(aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: text }] } }));
  assert.equal(decide(ask, [aCandidate('aws')], { policy: aPolicy(), nowMs: 0, random: 0 }).kind, 'assign');
  const larger = aView('gcp', {
    model: { name: 'm1', hash: 'h1', contextTokens: 8_192, endpoints: ['chat'] },
  });
  const both = [aCandidate('aws'), aCandidate('gcp', { view: larger, load: 3 })];
  const decision = decide(ask, both, { policy: aPolicy(), nowMs: 0, random: 0 });
  assert.equal(decision.kind === 'assign' && decision.cluster, 'gcp');
});

test('a request leaves its regions for no cluster, and one whose region is unknown counts as outside', () => {
  const bound = anAsk(aRequest({ regions: ['eu-', 'westeurope'] }));
  const kindIn = (region?: string) => {
    const tariff = region === undefined ? aTariff() : { ...aTariff(), region };
    const decision = decide(bound, [aCandidate('aws', { tariff })], {
      policy: aPolicy(),
      nowMs: 0,
      random: 0,
    });
    return decision.kind === 'reject' ? decision.code : decision.kind;
  };
  for (const inside of ['eu-west-1', 'eu-', 'westeurope']) assert.equal(kindIn(inside), 'assign', inside);
  for (const outside of ['us-east-1', 'eu', 'europe-west1', 'westeurope2', 'EU-west-1', undefined])
    assert.equal(kindIn(outside), 'no_cluster_in_region', outside);
});

test('a request bound to a region waits for its own cluster that is down, and takes no other', () => {
  const asked = anAsk(aRequest({ regions: ['eu-'] }));
  const down = aCandidate('gcp', {
    view: aView('gcp', { phase: 'silent', nodes: 0, slots: 0 }),
    tariff: { ...aTariff(9), region: 'eu-west-1' },
  });
  const free = aCandidate('aws', { tariff: { ...aTariff(), region: 'us-east-1' } });
  assert.equal(decide(asked, [down, free], { policy: aPolicy(), nowMs: 0, random: 0 }).kind, 'defer');
});
