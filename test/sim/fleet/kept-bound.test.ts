import assert from 'node:assert/strict';
import test from 'node:test';
import { lpBound } from './bounds.ts';
import { keptBound } from './kept-bound.ts';
import { isKept, measuresOf } from './measure.ts';
import type { Live } from './node.ts';
import { type Random, randomOf } from './random.ts';
import type { ClusterSpec, Scenario } from './scenario.ts';
import { type Arrival, promises } from './trace.ts';
import { type Driver, World } from './world.ts';

const gridMs = 15_000;
const endMs = 420_000;

const specOf = (name: string, usdPerHour: number, decodeTps: number): ClusterSpec => ({
  name,
  instance: 'small',
  slots: 2,
  nodesMax: 1,
  prefillTps: 100,
  decodeTps,
  contention: 0.8,
  bootMs: 30_000,
  usdPerHour,
  listUsdPerHour: 2 * usdPerHour,
  market: 'spot',
  preemptPerHour: 0,
  walk: 0.06,
});

function instanceOf(random: Random): { scenario: Scenario; arrivals: Arrival[] } {
  const scenario: Scenario = {
    name: 'tiny',
    about: 'two nodes at most',
    clusters: [
      specOf('a', 0.02 + 0.02 * random.uniform(), 8 + 4 * random.uniform()),
      specOf('b', 0.04 + 0.03 * random.uniform(), 15 + 10 * random.uniform()),
    ],
    outages: [],
  };
  const arrivals = Array.from({ length: 3 }, (_, index): Arrival => {
    const atMs = 60_000 + Math.round(120_000 * random.uniform());
    const priority = random.uniform() < 0.7 ? 'interactive' : 'standard';
    const { ttftMaxMs, deadlineMs } = promises[priority];
    return {
      id: `r${index}`,
      tenant: 't',
      priority,
      atMs,
      promptTokens: 20 + Math.round(200 * random.uniform()),
      outputTokens: 20 + Math.round(200 * random.uniform()),
      session: `s${index % 2}`,
      ttftMaxMs,
      deadlineAtMs: atMs + deadlineMs,
      slowness: 0.9 + 0.2 * random.uniform(),
    };
  });
  return { scenario, arrivals: arrivals.toSorted((a, b) => a.atMs - b.atMs) };
}

/** Does one plan: starts each cluster's node at a time, sends each request to a cluster, and ends a node with its last job. */
class Scripted implements Driver {
  readonly everyMs = gridMs;
  readonly #startsAtMs: readonly number[];
  readonly #clusterOf: (live: Live) => number;
  readonly #left: number[];

  constructor(arrivals: readonly Arrival[], startsAtMs: readonly number[], assigned: readonly number[]) {
    this.#startsAtMs = startsAtMs;
    this.#clusterOf = ({ arrival }) => assigned[arrivals.indexOf(arrival)] ?? 0;
    this.#left = startsAtMs.map((_, cluster) => assigned.filter((one) => one === cluster).length);
  }

  onArrival(live: Live, world: World): void {
    const cluster = world.clusters[this.#clusterOf(live)];
    if (cluster) world.send(live, cluster);
  }

  onEnded(live: Live, _: unknown, world: World): void {
    const index = this.#clusterOf(live);
    const cluster = world.clusters[index];
    this.#left[index] = (this.#left[index] ?? 0) - 1;
    if (cluster && this.#left[index] === 0) world.release(cluster);
  }

  onTick(world: World): void {
    world.clusters.forEach((cluster, index) => {
      if (this.#startsAtMs[index] === world.nowMs && (this.#left[index] ?? 0) > 0) world.boot(cluster);
    });
  }

  onLost(): void {}
  onNodes(): void {}
  onPrices(): void {}
}

/** The cheapest of all plans on the grid that keep every promise; undefined when none does. */
function cheapest(scenario: Scenario, arrivals: readonly Arrival[], seed: number): number | undefined {
  const starts = Array.from({ length: 12 }, (_, index) => index * gridMs);
  let best: number | undefined;
  const choices = scenario.clusters.length;
  for (let plan = 0; plan < choices ** arrivals.length; plan++) {
    const assigned = arrivals.map((_, index) => Math.floor(plan / choices ** index) % choices);
    const uses = (cluster: number) => assigned.includes(cluster);
    for (const a of uses(0) ? starts : [0])
      for (const b of uses(1) ? starts : [0]) {
        const driver = new Scripted(arrivals, [a, b], assigned);
        const run = new World(scenario, { arrivals, endMs }, driver, seed).run();
        if (!run.ended.every(isKept)) continue;
        best = Math.min(best ?? Number.POSITIVE_INFINITY, measuresOf(run).usd);
      }
  }
  return best;
}

test('no plan of a tiny world that keeps every promise is cheaper than the bounds', async () => {
  let compared = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const { scenario, arrivals } = instanceOf(randomOf(seed, 'tiny'));
    const best = cheapest(scenario, arrivals, seed);
    if (best === undefined) continue;
    compared++;
    const day = { arrivals, endMs };
    const [kept, lp] = [await keptBound(scenario, day, seed), await lpBound(scenario, day, seed)];
    assert.ok(kept <= best + 1e-9, `seed ${seed}: ${kept} ≤ ${best}`);
    assert.ok(lp <= best + 1e-9, `seed ${seed}: ${lp} ≤ ${best}`);
    assert.ok(kept > best / 10, `seed ${seed}: ${kept} says something about ${best}`);
  }
  assert.ok(compared >= 6, `${compared} worlds could be compared`);
});

test('where two replies fill one node, the bound is close below the best plan', async () => {
  const spec: ClusterSpec = { ...specOf('a', 0.03, 10), bootMs: 90_000, walk: 0 };
  const scenario: Scenario = { name: 'full', about: 'one node', clusters: [spec], outages: [] };
  const { ttftMaxMs, deadlineMs } = promises.interactive;
  const arrivals = [0, 1].map(
    (index): Arrival => ({
      id: `r${index}`,
      tenant: 't',
      priority: 'interactive',
      atMs: 120_000,
      promptTokens: 20,
      outputTokens: 400,
      session: `s${index}`,
      ttftMaxMs,
      deadlineAtMs: 120_000 + deadlineMs,
      slowness: 1,
    }),
  );
  const best = cheapest(scenario, arrivals, 1);
  assert.ok(best !== undefined);
  const kept = await keptBound(scenario, { arrivals, endMs }, 1);
  assert.ok(kept <= best + 1e-9 && kept >= 0.8 * best, `${kept} of ${best}`);
  // The older program lets the work wait for its deadline, and pays for a part of the boot only.
  assert.ok((await lpBound(scenario, { arrivals, endMs }, 1)) < kept);
});
