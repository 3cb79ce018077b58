import assert from 'node:assert/strict';
import test from 'node:test';
import { costBetween } from './bill.ts';
import { fluidBound, lpBound } from './bounds.ts';
import { measuresOf, sum } from './measure.ts';
import { contenders } from './policies.ts';
import { list, pricesOf, type Scenario, spot } from './scenario.ts';
import { type Arrival, dayOf, syntheticSource } from './trace.ts';
import { type Run, World } from './world.ts';

// An hour of invented load: the same on every machine, whether the recorded trace is there or not.
const seed = 7;
const day = dayOf(syntheticSource(seed), { kept: [1 / 30], promptDivisor: 8, outputDivisor: 2 }, seed);
const minute = 60_000;
const rough: Scenario = {
  ...spot,
  outages: [{ cluster: 'azure-eastus', fromMs: 20 * minute, toMs: 26 * minute }],
};

function run(id: string, scenario: Scenario, arrivals: readonly Arrival[] = day.arrivals): Run {
  const contender = contenders.find((one) => one.id === id);
  assert.ok(contender);
  return new World(
    scenario,
    { arrivals, endMs: day.endMs },
    contender.driver(seed, arrivals, scenario),
    seed,
  ).run();
}

const quick = ['ours', 'rr', 'lq', 'earlier-ideal', '-late', 'oracle'];
const runs = new Map(quick.map((id) => [id, run(id, rough)]));
const runOf = (id: string): Run => runs.get(id) ?? run(id, rough);

test('every request ends exactly once, whatever is lost on the way', () => {
  for (const id of quick) {
    const ids = runOf(id).ended.map(({ arrival }) => arrival.id);
    assert.equal(ids.length, day.arrivals.length, id);
    assert.equal(new Set(ids).size, ids.length, id);
  }
});

test('no node ever has more jobs than slots', () => {
  for (const id of quick) assert.equal(runOf(id).overfull, 0, id);
});

test('a request that is done has had all its tokens, and not before its first one', () => {
  for (const { ended } of runs.values())
    for (const one of ended) {
      if (one.outcome !== 'done') continue;
      assert.equal(one.deliveredTokens, one.arrival.outputTokens);
      assert.ok(one.ttftMs !== undefined && one.ttftMs > 0 && one.ttftMs <= one.atMs - one.arrival.atMs);
      assert.ok(one.atMs <= one.arrival.deadlineAtMs);
    }
});

test('the same seed gives the same run, and another seed another', () => {
  const again = run('ours', rough);
  assert.deepEqual(measuresOf(again), measuresOf(runOf('ours')));
  const other = dayOf(syntheticSource(8), { kept: [1 / 30], promptDivisor: 8, outputDivisor: 2 }, 8);
  assert.notDeepEqual(measuresOf(run('ours', rough, other.arrivals)), measuresOf(again));
});

test('the bill is the price over the time of the nodes, and no node works more than it is paid', () => {
  for (const id of quick)
    for (const { cluster, usd, paidMs, busyMs, bootMs } of runOf(id).bills) {
      const spec = rough.clusters.find(({ name }) => name === cluster);
      assert.ok(spec);
      const prices = pricesOf(spec, day.endMs, seed);
      const hours = paidMs / 3_600_000;
      assert.ok(usd >= hours * Math.min(...prices) - 1e-9 && usd <= hours * Math.max(...prices) + 1e-9, id);
      assert.ok(busyMs + bootMs <= paidMs + 1e-6, id);
    }
});

test('the price of a time that crosses a step is that of both its parts', () => {
  const hour = 3_600_000;
  assert.equal(
    costBetween([1, 2], 240_000, 360_000).toFixed(9),
    ((60_000 * 1 + 60_000 * 2) / hour).toFixed(9),
  );
});

test('no policy that answers everything is below the bounds, and the bounds are in their order', async () => {
  // Nothing is lost here; the longest answers, which the slowest node cannot give in time, are left out.
  const arrivals = day.arrivals.filter(({ outputTokens }) => outputTokens <= 200);
  const fluid = fluidBound(list, { arrivals, endMs: day.endMs }, seed);
  const lp = await lpBound(list, { arrivals, endMs: day.endMs }, seed);
  assert.ok(fluid > 0 && fluid <= lp + 1e-9, `${fluid} ≤ ${lp}`);
  for (const id of ['ours', 'lq', '-wake', 'oracle']) {
    const measures = measuresOf(run(id, list, arrivals));
    assert.ok(measures.completed === 1, `${id} answers everything: ${measures.completed}`);
    assert.ok(measures.usd >= lp, `${id}: ${measures.usd} ≥ ${lp}`);
  }
});

test('late binding never leaves a request at a cluster that has no slot for it', () => {
  const queued = new Set<string>();
  const contender = contenders.find(({ id }) => id === 'ours');
  const driver = contender?.driver(seed, day.arrivals, list);
  assert.ok(driver);
  const watching = {
    everyMs: driver.everyMs,
    onArrival: driver.onArrival.bind(driver),
    onEnded: driver.onEnded.bind(driver),
    onLost: driver.onLost.bind(driver),
    onNodes: driver.onNodes.bind(driver),
    onPrices: driver.onPrices.bind(driver),
    onTick(world: World) {
      for (const { queue } of world.clusters) for (const { arrival } of queue) queued.add(arrival.id);
      driver.onTick(world);
    },
  };
  new World(list, day, watching, seed).run();
  assert.deepEqual([...queued], []);
});

test('a load without a break lets nobody starve: every tenant and every band gets answers', () => {
  const { ended } = runOf('ours');
  for (const key of ['tenant', 'priority'] as const) {
    const done = new Set(
      ended.filter(({ outcome }) => outcome === 'done').map(({ arrival }) => arrival[key]),
    );
    assert.deepEqual(done, new Set(day.arrivals.map((arrival) => arrival[key])));
  }
  assert.ok(
    sum(ended.map(({ attempts }) => Math.max(0, attempts - 1))) > 0,
    'something was lost and came back',
  );
});
