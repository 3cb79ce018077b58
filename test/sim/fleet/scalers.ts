import type { ClusterId } from '@drover/schemas';
import {
  decideScaling,
  noDemand,
  type ScalingRules,
  type ScalingState,
  type Supply,
  type UsualWork,
  usefulWorkUsd,
} from '../../../apps/scheduler/src/core/wake.ts';
import type { SimCluster } from './node.ts';
import { nameOf, ratesOf, tariffOf } from './rates.ts';
import type { World } from './world.ts';

/** Decides how many nodes there are; asked every five seconds. */
export type Scaler = { tick(world: World): void };

/** Jobs that will run at once, as one who knows it sees it. */
export type Foresight = (nowMs: number) => number;

/** Drover's own controller. */
export class Controller implements Scaler {
  readonly #rules: ScalingRules;
  readonly #foresight: Foresight | undefined;
  #state: ScalingState = noDemand;
  /** Means of the requests that ended lately; those of published chat traces, scaled, until then. */
  #usual: UsualWork = { promptTokens: 144, outputTokens: 105 };

  constructor(rules: ScalingRules, foresight?: Foresight) {
    this.#rules = rules;
    this.#foresight = foresight;
  }

  /** A request took this much. */
  learn(promptTokens: number, outputTokens: number): void {
    const before = this.#usual;
    this.#usual = {
      promptTokens: before.promptTokens + (promptTokens - before.promptTokens) / 200,
      outputTokens: before.outputTokens + (outputTokens - before.outputTokens) / 200,
    };
  }

  tick(world: World): void {
    const supplies = world.clusters.map((cluster) => this.#supply(cluster, world));
    const jobs = this.#foresight?.(world.nowMs) ?? jobsOf(world);
    const { state, wake, release } = decideScaling(this.#state, supplies, jobs, this.#rules, world.nowMs);
    this.#state = state;
    for (const name of wake) world.boot(clusterNamed(world, name));
    for (const name of release) world.release(clusterNamed(world, name));
  }

  #supply(cluster: SimCluster, world: World): Supply {
    const { spec, nodes, failedWakeAtMs } = cluster;
    const usdPerRequest = usefulWorkUsd(
      tariffOf(spec, world.price(cluster)),
      ratesOf(spec),
      spec.slots,
      this.#usual,
    );
    return {
      cluster: nameOf(spec),
      ready: nodes.filter(({ phase }) => phase === 'ready').length,
      booting: nodes.filter(({ phase }) => phase === 'booting').length,
      nodesMax: spec.nodesMax,
      slotsPerNode: spec.slots,
      usable: true,
      ...(usdPerRequest === undefined ? {} : { usdPerRequest }),
      ...(failedWakeAtMs === undefined ? {} : { failedWakeAtMs }),
    };
  }
}

/** Jobs that run or wait anywhere. */
const jobsOf = (world: World): number =>
  world.waiting.size +
  world.clusters.reduce((sum, cluster) => sum + world.inFlight(cluster) + cluster.queue.length, 0);

function clusterNamed(world: World, name: ClusterId): SimCluster {
  const cluster = world.clusters.find(({ spec }) => spec.name === name);
  if (!cluster) throw new Error(`no cluster ${name}`);
  return cluster;
}

/** A node is let go when no more than this many were wanted for so long; the default of the usual autoscalers. */
const stabilisationMs = 300_000;

/**
 * The usual autoscaler of one cluster (KEDA with a horizontal pod autoscaler): as many nodes as the cluster's own jobs
 * need, up at once, down to the most that was wanted in the last five minutes.
 */
export class PerCluster implements Scaler {
  readonly #nodesMin: number;
  readonly #spare: number;
  readonly #wanted = new Map<SimCluster, { atMs: number; nodes: number }[]>();

  /** @param spare jobs to be ready for beyond those that are there: without it a central queue never asks for more */
  constructor(nodesMin: number, spare = 0) {
    this.#nodesMin = nodesMin;
    this.#spare = spare;
  }

  tick(world: World): void {
    for (const cluster of world.clusters) {
      const jobs = world.inFlight(cluster) + cluster.queue.length;
      const wanted = Math.max(this.#nodesMin, Math.ceil((jobs + this.#spare) / cluster.spec.slots));
      const recent = [
        ...(this.#wanted.get(cluster) ?? []).filter(({ atMs }) => world.nowMs - atMs < stabilisationMs),
        { atMs: world.nowMs, nodes: Math.min(cluster.spec.nodesMax, wanted) },
      ];
      this.#wanted.set(cluster, recent);
      this.#settle(world, cluster, wanted, Math.max(...recent.map(({ nodes }) => nodes)));
    }
  }

  #settle(world: World, cluster: SimCluster, wanted: number, most: number): void {
    const alive = () => cluster.nodes.filter(({ phase }) => phase !== 'draining').length;
    if (!world.isOut(cluster))
      for (let missing = wanted - alive(); missing > 0; missing--) world.boot(cluster);
    if (alive() > most) world.release(cluster);
  }
}
