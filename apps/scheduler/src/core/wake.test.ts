import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aPolicy, aTariff, aView, cluster } from '../../testing/builders.ts';
import {
  type BoundDemand,
  decideScaling,
  noDemand,
  type ScalingState,
  type Supply,
  usefulWorkUsd,
} from './wake.ts';

const rulesOf = (change: object = {}) => {
  const { scaling } = aPolicy({ scaling: change });
  assert.ok(scaling);
  return scaling;
};
const rules = rulesOf();
const supply = (name: string, usdPerRequest: number, change: Partial<Supply> = {}): Supply => ({
  cluster: cluster(name),
  ready: 0,
  booting: 0,
  nodesMax: 4,
  slotsPerNode: 4,
  usable: true,
  usdPerRequest,
  ...change,
});
const decided = (supplies: Supply[], jobs: number, state: ScalingState = noDemand, nowMs = 0, by = rules) =>
  decideScaling(state, supplies, jobs, by, nowMs);

test('the first request wakes the cluster whose work is cheapest', () => {
  const { wake, release } = decided([supply('aws', 2), supply('gcp', 1)], 1);
  assert.deepEqual([wake, release], [['gcp'], []]);
});

test('one request wakes one node, however few slots it has', () => {
  const small = { slotsPerNode: 2 };
  const { wake } = decided([supply('aws', 2, small), supply('gcp', 1, small)], 1);
  assert.deepEqual(wake, ['gcp']);
});

test('a cluster that cannot be used, that has no price, or whose wake has just failed is not woken', () => {
  const { usdPerRequest: _, ...unpriced } = supply('lab', 1);
  const failed = supply('edge', 1, { failedWakeAtMs: 0 });
  const all = [supply('gcp', 1, { usable: false }), unpriced, failed, supply('aws', 9)];
  assert.deepEqual(decided(all, 1, noDemand, 1_000).wake, ['aws']);
  assert.deepEqual(decided([failed], 1, noDemand, rules.failedWakeMs).wake, ['edge']);
});

test('the nodes of a closed cluster are no supply: another is woken for the first request, and they are let go', () => {
  const closed = supply('gcp', 1, { ready: 1, usable: false, closed: true });
  assert.deepEqual(decided([closed, supply('aws', 9)], 1).wake, ['aws']);
  const aws = supply('aws', 9, { ready: 1 });
  let state: ScalingState = { ...noDemand, mean: 1, demand: 1 };
  for (let nowMs = 0; nowMs < rules.coolDownCheapestMs; nowMs += 5_000) {
    const next = decided([closed, aws], 1, state, nowMs);
    assert.deepEqual([next.wake, next.release], [[], []]);
    state = next.state;
  }
  assert.deepEqual(decided([closed, aws], 1, state, rules.coolDownCheapestMs).release, ['gcp']);
});

test('a burst wakes as many nodes as it needs at once, the cheapest first, and no more than there may be', () => {
  const { wake } = decided([supply('aws', 2), supply('gcp', 1, { nodesMax: 2 })], 12);
  assert.deepEqual(wake.slice(0, 2), ['gcp', 'gcp']);
  assert.ok(wake.length >= 4 && wake.slice(2).every((name) => name === 'aws'));
});

test('nodes that are booting count: what was woken is not woken again', () => {
  const { wake } = decided([supply('gcp', 1, { booting: 1 })], 3);
  assert.deepEqual(wake, []);
});

test('a fleet that nobody uses is let go to zero, the dearest first, each after its cool-down', () => {
  let supplies = [supply('aws', 2, { ready: 1 }), supply('gcp', 1, { ready: 1 })];
  let state: ScalingState = { ...noDemand, mean: 0.01, demand: 0.01 };
  const gone: [string, number][] = [];
  for (let nowMs = 0; nowMs <= 900_000; nowMs += 5_000) {
    const { state: next, wake, release } = decided(supplies, 0, state, nowMs, rulesOf({ swapMargin: 1 }));
    assert.deepEqual(wake, []);
    state = next;
    for (const name of release) {
      gone.push([name, nowMs]);
      supplies = supplies.map((one) => (one.cluster === name ? { ...one, ready: one.ready - 1 } : one));
    }
  }
  assert.deepEqual(
    gone.map(([name]) => name),
    ['aws', 'gcp'],
  );
  const [first, second] = gone.map(([, atMs]) => atMs);
  assert.ok(first === rules.coolDownDearestMs && (second ?? 0) >= rules.coolDownCheapestMs);
});

test('the last node stays while anybody is there', () => {
  let state = noDemand;
  for (let nowMs = 0; nowMs <= 3_600_000; nowMs += 5_000) {
    const next = decided([supply('gcp', 1, { ready: 1 })], 1, state, nowMs);
    assert.deepEqual(next.release, []);
    state = next.state;
  }
});

test('spare slots are bought by price: what is worth waking at a cheap cluster is not at one four times as dear', () => {
  const state: ScalingState = { ...noDemand, mean: 4, demand: 4 };
  const full = supply('gcp', 1, { ready: 1, nodesMax: 1 });
  const needsMore = rulesOf({ utilisation: 0.8, swapMargin: 1 });
  // One slot to spare at the cheapest price, a quarter of one at four times that.
  assert.deepEqual(decided([full, supply('aws', 1)], 4, state, 0, needsMore).wake, ['aws']);
  const slots = [full, supply('edge', 1, { ready: 1, slotsPerNode: 1, nodesMax: 1 })];
  assert.deepEqual(decided([...slots, supply('aws', 4)], 4, state, 0, needsMore).wake, []);
  const demand: ScalingState = { ...noDemand, mean: 4.5, demand: 4.5 };
  assert.deepEqual(decided([...slots, supply('aws', 1)], 4.5, demand, 0, needsMore).wake, ['aws']);
  assert.deepEqual(decided([...slots, supply('aws', 4)], 4.5, demand, 0, needsMore).wake, []);
});

test('jobs that have no slot wake a cluster however dear it is', () => {
  const state: ScalingState = { ...noDemand, mean: 4, demand: 4 };
  const full = supply('gcp', 1, { ready: 1, nodesMax: 1 });
  const { wake } = decided([full, supply('aws', 9)], 8, state);
  assert.ok(wake.length > 0 && wake.every((name) => name === 'aws'));
});

test('a cheap cluster that cannot be used makes no other one dear', () => {
  const state: ScalingState = { ...noDemand, mean: 4, demand: 4 };
  const full = supply('gcp', 4, { ready: 1, nodesMax: 1 });
  const shut = supply('edge', 1, { usable: false });
  assert.deepEqual(decided([full, supply('aws', 4), shut], 4, state, 0, rulesOf({ swapMargin: 1 })).wake, [
    'aws',
  ]);
});

test('a node of a much cheaper cluster is woken beside a dear one, one at a time', () => {
  const state: ScalingState = { ...noDemand, mean: 2, demand: 2 };
  const dear = supply('aws', 2, { ready: 1 });
  assert.deepEqual(decided([dear, supply('gcp', 1)], 2, state).wake, ['gcp']);
  assert.deepEqual(decided([dear, supply('gcp', 1, { booting: 1 })], 2, state).wake, []);
  assert.deepEqual(decided([dear, supply('gcp', 1.9)], 2, state).wake, []);
  const replaced = decided([dear, supply('gcp', 1, { ready: 1 })], 2, state);
  assert.deepEqual(replaced.wake, [], 'the dear one is on its way out: nothing more is woken');
  assert.ok(replaced.state.surplusSinceMs.has(cluster('aws')));
});

test('under a steady load with noise, nothing is woken that was just let go', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 700, maxLength: 700 }), (noise) => {
      let ready = 4;
      let state: ScalingState = { ...noDemand, mean: 8, demand: 8 };
      let changes = 0;
      noise.forEach((more, step) => {
        const next = decided([supply('gcp', 1, { ready, nodesMax: 9 })], 8 + more, state, step * 5_000);
        state = next.state;
        changes += next.wake.length + next.release.length;
        ready += next.wake.length - next.release.length;
      });
      assert.ok(changes <= 3, `${changes} changes in an hour`);
    }),
    { numRuns: 20 },
  );
});

test('the price of useful work is the price of the time that a usual request takes on a full node', () => {
  const { rates } = aView('aws');
  assert.ok(rates);
  const usd = usefulWorkUsd(aTariff(3_600), rates, 4, { promptTokens: 200, outputTokens: 25 });
  assert.equal(usd, 200 / 200 + 25 / 25);
  assert.equal(usefulWorkUsd(aTariff(), { decode: [] }, 4, { promptTokens: 1, outputTokens: 1 }), undefined);
});

const boundTo = (jobs: number, ...names: string[]): BoundDemand => ({
  clusters: new Set(names.map(cluster)),
  jobs,
});
const decidedFor = (supplies: Supply[], jobs: number, ...bound: BoundDemand[]) =>
  decideScaling(noDemand, supplies, jobs, rules, 0, bound);

test('what no awake cluster could take wakes the cheapest that could, however many slots are free elsewhere', () => {
  const warm = supply('aws', 9, { ready: 4 });
  const asleep = [supply('gcp', 2), supply('azure', 1)];
  assert.deepEqual(decidedFor([warm, ...asleep], 1).wake, []);
  assert.deepEqual(decidedFor([warm, ...asleep], 1, boundTo(1, 'gcp', 'azure')).wake, ['azure']);
  assert.deepEqual(decidedFor([warm, ...asleep], 1, boundTo(1, 'gcp')).wake, ['gcp']);
});

test('what was woken for the one serves the other too, and what boots is not woken again', () => {
  const warm = supply('aws', 9, { ready: 4 });
  const asleep = [supply('gcp', 2), supply('azure', 1)];
  const two = [boundTo(1, 'gcp', 'azure'), boundTo(1, 'gcp')];
  assert.deepEqual(decidedFor([warm, ...asleep], 2, ...two).wake, ['gcp']);
  const booting = [warm, supply('gcp', 2, { booting: 1 })];
  assert.deepEqual(decidedFor(booting, 1, boundTo(1, 'gcp')).wake, []);
  assert.deepEqual(decidedFor(booting, 6, boundTo(6, 'gcp')).wake, ['gcp']);
});

test('a node that is not needed otherwise stays while something waits that only it could take', () => {
  const fleet = [supply('aws', 9, { ready: 1 }), supply('gcp', 1, { ready: 4 })];
  const surplus = (...bound: BoundDemand[]) => [
    ...decidedFor(fleet, 1, ...bound).state.surplusSinceMs.keys(),
  ];
  assert.ok(surplus().includes(cluster('aws')));
  assert.ok(!surplus(boundTo(1, 'aws')).includes(cluster('aws')));
});
