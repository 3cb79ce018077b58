import assert from 'node:assert/strict';
import test from 'node:test';
import { demandTtlMs, type Profile } from '@drover/schemas';
import { aCandidate, anAsk, aPolicy, aRequest, aTariff, aView, cluster } from '../../testing/builders.ts';
import { boundDemand, boundWaiting } from './bound-demand.ts';
import { clusterUsdPer1k } from './costs.ts';
import { HeardDemand } from './heard-demand.ts';
import { supplyOf } from './supplies.ts';
import type { Ask, Candidate } from './types.ts';
import { decideScaling, noDemand } from './wake.ts';

const { rates, model } = aView('any');
const profileOf = (name: string): Profile => {
  assert.ok(rates && model);
  return { v: 1, cluster: cluster(name), slotsPerNode: 4, model, rates, bootsMs: [], measuredAtMs: 0 };
};
const warm = (name: string, usdPerHour: number, change: Partial<Candidate> = {}) => ({
  candidate: aCandidate(name, { tariff: aTariff(usdPerHour), ...change }),
  profile: profileOf(name),
});
const asleep = (name: string, usdPerHour: number, change: Partial<Candidate> = {}) => {
  const { rates: _, ...view } = aView(name, { phase: 'silent', nodes: 0, slots: 0 });
  return warm(name, usdPerHour, { view, ...change });
};
const bound = (asks: Ask[], known: ReturnType<typeof warm>[], elsewhere: Candidate[] = []) =>
  boundDemand(
    boundWaiting(
      asks.map((ask) => ({ ask })),
      known,
      elsewhere,
      aPolicy(),
      0,
    ),
    known,
  ).map(({ clusters, jobs }) => [[...clusters].join(), jobs]);

/** A ceiling between the two. */
const dollars = clusterUsdPer1k(aView('any'), aTariff(1)) ?? 0;
const cheap = anAsk(aRequest({ maxUsdPer1k: dollars }));

test('a ceiling that only a sleeping cluster meets wakes it beside free slots that are too dear', () => {
  const policy = aPolicy({ scaling: {} });
  assert.ok(policy.scaling);
  const known = [warm('aws', 2), asleep('gcp', 0.5)];
  const supplies = known.map((one, index) =>
    supplyOf({ ...one, wanted: index === 0 ? 1 : 0, failedWakeAtMs: undefined }, policy.scaling ?? never()),
  );
  const demand = boundDemand(boundWaiting([{ ask: cheap }], known, [], policy, 0), known);
  assert.deepEqual(decideScaling(noDemand, supplies, 1, policy.scaling, 0, demand).wake, ['gcp']);
  const any = boundWaiting([{ ask: anAsk() }], known, [], policy, 0);
  // One for which a slot is free may bring a cheaper cluster to be swapped in, and no more than that.
  assert.deepEqual(any, []);
});

const never = (): never => assert.fail('the policy scales');

test('what every cluster could take, and what none could, is bound to nobody', () => {
  assert.deepEqual(bound([cheap], [warm('aws', 0.5), asleep('gcp', 0.5)]), []);
  assert.deepEqual(bound([cheap], [warm('aws', 2), asleep('gcp', 2)]), []);
});

test('what waits counts with what runs where it could go', () => {
  const known = [warm('aws', 2, { load: 2 }), warm('gcp', 0.5, { load: 3 })];
  assert.deepEqual(bound([cheap, cheap, anAsk()], known), [['gcp', 5]]);
  const moving = [{ ask: cheap, hasJobAt: cluster('gcp') }];
  assert.deepEqual(
    boundDemand(boundWaiting(moving, known, [], aPolicy(), 0), known).map(({ jobs }) => jobs),
    [3],
  );
});

test('a request for a model is bound to the clusters that serve it', () => {
  const other = aView('aws', {
    model: { name: 'm2', hash: 'h2', contextTokens: 2048, endpoints: ['chat'] },
  });
  assert.deepEqual(bound([anAsk()], [warm('aws', 1, { view: other }), asleep('gcp', 1)]), [['gcp', 1]]);
});

test('a closed cluster and one without a price are as if they were not there', () => {
  const closed = asleep('azure', 0.5, { cordon: 'maintenance' });
  const { tariff: _, ...unpriced } = aCandidate('lab');
  const known = [warm('aws', 2), asleep('gcp', 0.5), closed];
  assert.deepEqual(bound([cheap], [...known, { candidate: unpriced, profile: profileOf('lab') }]), [
    ['gcp', 1],
  ]);
});

test('what a provider beside the nodes could take waits for no node', () => {
  const provider = aCandidate('api', {
    view: aView('api', { provider: {} }),
    tariff: { ...aTariff(0), usdPerMillion: { prompt: 0, output: 0 } },
  });
  assert.deepEqual(bound([cheap], [warm('aws', 2), asleep('gcp', 0.5)], [provider]), []);
});

test('a request for a region wakes the cluster that is there', () => {
  const inRegion = (region: string) => ({ tariff: { ...aTariff(1), region } });
  const known = [warm('aws', 1, inRegion('us-east-1')), asleep('gcp', 1, inRegion('eu-west-1'))];
  assert.deepEqual(bound([anAsk(aRequest({ regions: ['eu-'] }))], known), [['gcp', 1]]);
});

test('what others hold for the same clusters counts with what waits here, and what runs there counts once', () => {
  const known = [warm('aws', 2, { load: 2 }), warm('gcp', 0.5, { load: 3 })];
  const here = boundWaiting([{ ask: cheap }], known, [], aPolicy(), 0);
  const others = [{ clusters: [cluster('gcp')], jobs: 4 }];
  assert.deepEqual(boundDemand([...here, ...others], known), [{ clusters: new Set(['gcp']), jobs: 8 }]);
});

test('what a scheduler has said counts until it says otherwise, and not when it has said nothing for a while', () => {
  const heard = new HeardDemand();
  const bound = [{ clusters: [cluster('gcp')], jobs: 1 }];
  heard.hear({ v: 1, scheduler: 'a', bound }, 0);
  heard.hear({ v: 1, scheduler: 'b', bound }, 1_000);
  assert.equal(heard.waiting(1_000).length, 2);
  heard.hear({ v: 1, scheduler: 'b', bound: [] }, 2_000);
  assert.deepEqual(heard.waiting(demandTtlMs), bound);
  assert.deepEqual(heard.waiting(demandTtlMs + 1), []);
});
