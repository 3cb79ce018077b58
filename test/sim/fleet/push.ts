import type { Live, SimCluster } from './node.ts';
import { randomOf } from './random.ts';
import type { Scaler } from './scalers.ts';
import { decodeAt, prefillContention } from './scenario.ts';
import type { Driver, World } from './world.ts';

/** Chooses a cluster for a request at once, or none, which refuses it. All clusters that are not out may be chosen. */
export type Chooser = {
  choose(live: Live, alive: readonly SimCluster[], world: World): SimCluster | undefined;
  tick?(world: World): void;
};

const scaleEveryMs = 5_000;

/**
 * A router without a queue of its own: each request is pushed to a cluster when it comes, and waits there. What it sees of
 * the clusters is exact and current, which flatters it. A request whose node is lost starts over.
 */
export class PushDriver implements Driver {
  readonly everyMs = 1_000;
  readonly #chooser: Chooser;
  readonly #scaler: Scaler;

  constructor(chooser: Chooser, scaler: Scaler) {
    this.#chooser = chooser;
    this.#scaler = scaler;
  }

  onArrival(live: Live, world: World): void {
    const alive = world.clusters.filter((cluster) => !world.isOut(cluster));
    const chosen = this.#chooser.choose(live, alive, world);
    if (chosen) world.send(live, chosen);
    else world.refuse(live);
  }

  onLost(live: Live, world: World): void {
    live.delivered = 0;
    live.firstTokenAtMs = undefined;
    this.onArrival(live, world);
  }

  onEnded(): void {}
  onNodes(): void {}
  onPrices(): void {}

  onTick(world: World): void {
    this.#chooser.tick?.(world);
    if (world.nowMs % scaleEveryMs === 0) this.#scaler.tick(world);
    // What waits at a cluster that is out is sent elsewhere, as health checks do it.
    for (const cluster of world.clusters)
      if (world.isOut(cluster))
        for (const live of [...cluster.queue]) {
          world.recall(live);
          this.onArrival(live, world);
        }
  }
}

const jobsAt = (cluster: SimCluster, world: World): number => world.inFlight(cluster) + cluster.queue.length;

const least = <T>(items: readonly T[], worthOf: (item: T) => number): T | undefined => {
  let best: T | undefined;
  let bestValue = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const value = worthOf(item);
    if (best === undefined || value < bestValue) [best, bestValue] = [item, value];
  }
  return best;
};

export function roundRobin(): Chooser {
  let turn = 0;
  return { choose: (_, alive) => alive[turn++ % Math.max(1, alive.length)] };
}

/** Jobs per slot that is there or would be there with one node; ties are drawn. */
export function leastQueue(seed: number, options: { warmOnly: boolean } = { warmOnly: false }): Chooser {
  const random = randomOf(seed, 'ties');
  return {
    choose(_, alive, world) {
      const warm = alive.filter((cluster) => world.ready(cluster).length > 0);
      return least(options.warmOnly && warm.length > 0 ? warm : alive, (cluster) => {
        const slots = Math.max(1, world.ready(cluster).length) * cluster.spec.slots;
        return jobsAt(cluster, world) / slots + random.uniform() / 1_000;
      });
    },
  };
}

/** The cheapest by list price and capacity, whatever happens; another one only while that is out. */
export const staticCheapest = (): Chooser => ({
  choose: (_, alive) => least(alive, ({ spec }) => spec.listUsdPerHour / decodeAt(spec, spec.slots)),
});

/** The least predicted time to first token, with exact rates and queues, and a cold cluster's boot time. */
export const latencyFirst = (): Chooser => ({
  choose: (live, alive, world) => least(alive, (cluster) => predictedTtftMs(live, cluster, world)),
});

function predictedTtftMs({ arrival }: Live, cluster: SimCluster, world: World): number {
  const { spec } = cluster;
  const nodes = world.ready(cluster).length;
  const slots = Math.max(1, nodes) * spec.slots;
  const jobs = jobsAt(cluster, world);
  const b = Math.min(spec.slots, 1 + jobs / Math.max(1, nodes));
  const prefillMs = (arrival.promptTokens / spec.prefillTps) * (1 + prefillContention * (b - 1)) * 1_000;
  const serviceMs = prefillMs + (105 * b * 1_000) / decodeAt(spec, b);
  const waitMs = jobs < slots ? 0 : ((cluster.queue.length + 0.5) * serviceMs) / slots;
  return (nodes === 0 ? spec.bootMs : 0) + waitMs + prefillMs;
}

const pollEveryMs = 30_000;
const unknownTps = 10;
const latencyMaxMs = 60_000;
const queueMax = 100;

/**
 * The earlier router's rule on what it really saw: its backend had no statistics, so tokens per second, queue and latency
 * were constants, and the cheapest list price always won.
 */
export const earlierRule = (): Chooser => ({
  choose: (_, alive) => least(alive, ({ spec }) => nominal(spec.listUsdPerHour, unknownTps)),
});

/**
 * The earlier router's rule as it was meant: tokens per second, queue and latency polled every 30 s, limits on the last
 * two, then the cheapest by list price and present throughput. A cluster that does nothing measures nothing and looks
 * dear; only when all do, the assumed rate counts. Nobody within the limits: refused.
 */
export class EarlierRuleIdealised implements Chooser {
  readonly #seen = new Map<SimCluster, { tps: number; queue: number; tokens: number }>();

  choose(_: Live, alive: readonly SimCluster[]): SimCluster | undefined {
    const within = alive.filter((cluster) => {
      const { queue = 0, tps = 0 } = this.#seen.get(cluster) ?? {};
      const latencyMs = tps === 0 ? 0 : ((queue + 1) * 105_000) / tps / cluster.spec.slots;
      return queue <= queueMax && latencyMs <= latencyMaxMs;
    });
    const measured = within.filter((cluster) => (this.#seen.get(cluster)?.tps ?? 0) > 0);
    return least(measured.length > 0 ? measured : within, (cluster) =>
      nominal(cluster.spec.listUsdPerHour, this.#seen.get(cluster)?.tps || unknownTps),
    );
  }

  tick(world: World): void {
    if (world.nowMs % pollEveryMs !== 0) return;
    for (const cluster of world.clusters) {
      const before = this.#seen.get(cluster)?.tokens ?? 0;
      this.#seen.set(cluster, {
        tps: ((cluster.tokens - before) / pollEveryMs) * 1_000,
        queue: cluster.queue.length,
        tokens: cluster.tokens,
      });
    }
  }
}

const nominal = (usdPerHour: number, tps: number): number => (usdPerHour / (tps * 3_600)) * 1.1 * 1_000;
