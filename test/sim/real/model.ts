import { clusterId, type Report } from '@drover/schemas';
import { clusterUsdPer1kPrompt } from '../../../apps/scheduler/src/core/prompt-price.ts';
import { chargeFor } from '../../../apps/scheduler/src/core/settle.ts';
import {
  decideScaling,
  noDemand,
  type ScalingRules,
  type ScalingState,
  usefulWorkUsd,
} from '../../../apps/scheduler/src/core/wake.ts';
import { DroverDriver, type NodeMeters } from '../fleet/drover.ts';
import type { NodeMeter, SimCluster } from '../fleet/node.ts';
import type { Scaler } from '../fleet/scalers.ts';
import type { ClusterSpec, Scenario, SharedMachine } from '../fleet/scenario.ts';
import type { Arrival } from '../fleet/trace.ts';
import { World } from '../fleet/world.ts';
import type { Calibration } from './calibrate.ts';
import { deadlineMs } from './load.ts';
import type { Paid } from './play.ts';
import { clusters, driven, lingerMs, rulesOf, slots, tariffOf } from './setting.ts';

/** One request of the comparison with the size that it really had. */
export type Sized = {
  readonly id: number;
  readonly atMs: number;
  readonly maxTokens: number;
  readonly promptTokens: number;
  readonly uncachedTokens: number;
  readonly completionTokens: number;
};

export type Simulated = {
  readonly ttftsMs: readonly number[];
  readonly totalsMs: readonly number[];
  readonly done: number;
  readonly tokens: number;
  readonly paid: readonly Paid[];
  readonly settledUsd: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
};

/** All nodes are up before the load begins. */
const leadMs = 60_000;
const scaleEveryMs = 1_000;

/** The same load on the fleet simulator, with the machine as it was calibrated. */
export function simulate(
  load: readonly Sized[],
  horizonMs: number,
  calibration: Calibration,
  firstRates: Readonly<Record<string, Report['rates']>>,
): Simulated {
  const machine = machineOf(calibration);
  const scenario: Scenario = {
    name: 'local',
    about: 'three llama.cpp on one machine',
    clusters: clusters.map(({ id, usdPerHour }) => specOf(id, usdPerHour, calibration, machine)),
    outages: [],
    machine,
  };
  const sizes = new Map(load.map((one) => [`r${one.id}`, one]));
  const usdPer1k = new Map<string, { output?: number; prompt?: number }>();
  const meters = new Meters(machine, firstRates);
  const driver = new DroverDriver({
    policy: driven,
    scaler: new LocalScaler(rulesOf(driven), machine),
    seed: 1,
    scaleEveryMs,
    meters,
    onAssigned: ({ arrival }, { chosen }) => {
      const { view, tariff } = chosen.candidate;
      const prompt = clusterUsdPer1kPrompt(view, tariff);
      usdPer1k.set(arrival.id, {
        ...(chosen.usdPer1k === undefined ? {} : { output: chosen.usdPer1k }),
        ...(prompt === undefined ? {} : { prompt }),
      });
    },
  });
  const day = { arrivals: load.map(arrivalOf), endMs: leadMs + horizonMs + deadlineMs };
  const world = new World(scenario, day, driver, 1);
  const { ended } = world.run();
  const done = ended.filter(({ outcome }) => outcome === 'done');
  const settledUsd: Record<string, number> = {};
  const requests: Record<string, number> = {};
  for (const { arrival, cluster = '' } of done) {
    const size = sizes.get(arrival.id);
    const price = usdPer1k.get(arrival.id);
    if (!size) throw new Error(`no request ${arrival.id}`);
    const usd = chargeFor({
      cluster: clusterId.parse(cluster),
      attempt: 1,
      promptTokens: size.promptTokens,
      completionTokens: size.completionTokens,
      ...(price?.output === undefined ? {} : { usdPer1k: price.output }),
      ...(price?.prompt === undefined ? {} : { usdPer1kPrompt: price.prompt }),
    });
    settledUsd[cluster] = (settledUsd[cluster] ?? 0) + (usd ?? Number.NaN);
    requests[cluster] = (requests[cluster] ?? 0) + 1;
  }
  return {
    ttftsMs: done.map(({ ttftMs }) => ttftMs ?? Number.NaN),
    totalsMs: done.map(({ atMs, arrival }) => atMs - arrival.atMs),
    done: done.length,
    tokens: done.reduce((sum, { arrival }) => sum + (sizes.get(arrival.id)?.completionTokens ?? 0), 0),
    paid: paidIn(world.clusters, horizonMs),
    settledUsd,
    requests,
  };
}

/** The first token comes with the end of the prompt: what is left to write is one token less. */
const arrivalOf = ({ id, atMs, maxTokens, uncachedTokens, completionTokens }: Sized): Arrival => ({
  id: `r${id}`,
  tenant: 'local',
  priority: 'standard',
  atMs: leadMs + atMs,
  promptTokens: uncachedTokens,
  outputTokens: Math.max(1, completionTokens - 1),
  maxTokens,
  session: `s${id}`,
  ttftMaxMs: deadlineMs,
  deadlineAtMs: leadMs + atMs + deadlineMs,
  slowness: 1,
});

const machineOf = ({ prefillTps, decodeTps, overheadMs }: Calibration): SharedMachine => ({
  aroundMs: overheadMs,
  speeds(busyNodes, jobs) {
    const level = Math.min(busyNodes, clusters.length) - 1;
    const prefill = prefillTps[level];
    const decode = decodeTps[level]?.[Math.max(1, Math.min(jobs, slots)) - 1];
    if (prefill === undefined || decode === undefined)
      throw new Error(`not calibrated: ${busyNodes}, ${jobs}`);
    return { prefillTps: prefill, decodeTps: decode };
  },
});

function specOf(
  name: string,
  usdPerHour: number,
  { bootMs }: Calibration,
  machine: SharedMachine,
): ClusterSpec {
  const { prefillTps, decodeTps } = machine.speeds(clusters.length, 1);
  return {
    name,
    instance: 'llama.cpp, one thread',
    slots,
    nodesMax: 1,
    prefillTps,
    decodeTps,
    contention: 1,
    bootMs,
    usdPerHour,
    listUsdPerHour: usdPerHour,
    market: 'on-demand',
    preemptPerHour: 0,
    walk: 0,
  };
}

function paidIn(all: readonly SimCluster[], horizonMs: number): Paid[] {
  return all.flatMap(({ spec, past }) =>
    past.flatMap(({ startedAtMs, goneAtMs }) => {
      const fromMs = Math.max(0, startedAtMs - leadMs);
      const toMs = Math.min(horizonMs, (goneAtMs ?? Number.POSITIVE_INFINITY) - leadMs);
      return toMs > fromMs ? [{ cluster: spec.name, fromMs, toMs }] : [];
    }),
  );
}

/**
 * Drover's wake and sleep as the local run has it: the controller says what is wanted; the autoscaler starts a node that
 * is, and ends one that is not once it has had no job for a moment. Until then it goes on taking jobs.
 */
class LocalScaler implements Scaler {
  readonly #rules: ScalingRules;
  readonly #machine: SharedMachine;
  readonly #wanted = new Set<string>(clusters.map(({ id }) => id));
  readonly #idleSinceMs = new Map<string, number>();
  #state: ScalingState = noDemand;

  constructor(rules: ScalingRules, machine: SharedMachine) {
    this.#rules = rules;
    this.#machine = machine;
  }

  tick(world: World): void {
    if (world.nowMs >= leadMs) this.#decide(world);
    for (const cluster of world.clusters) this.#obey(world, cluster);
  }

  #decide(world: World): void {
    const jobs =
      world.waiting.size +
      world.clusters.reduce((sum, cluster) => sum + world.inFlight(cluster) + cluster.queue.length, 0);
    const supplies = world.clusters.map(({ spec, nodes }) => {
      const wanted = this.#wanted.has(spec.name) ? 1 : 0;
      const ready = Math.min(nodes.filter(({ phase }) => phase === 'ready').length, wanted);
      const usd = usefulWorkUsd(tariffOf(spec.usdPerHour), tableRates(this.#machine), slots, {
        promptTokens: 300,
        outputTokens: 200,
      });
      return {
        cluster: clusterId.parse(spec.name),
        ready,
        booting: wanted - ready,
        nodesMax: 1,
        slotsPerNode: slots,
        usable: true,
        ...(usd === undefined ? {} : { usdPerRequest: usd }),
      };
    });
    const { state, wake, release } = decideScaling(this.#state, supplies, jobs, this.#rules, world.nowMs);
    this.#state = state;
    for (const name of wake) this.#wanted.add(name);
    for (const name of release) this.#wanted.delete(name);
  }

  #obey(world: World, cluster: SimCluster): void {
    const { name } = cluster.spec;
    if (this.#wanted.has(name) || world.inFlight(cluster) > 0) {
      this.#idleSinceMs.delete(name);
      if (cluster.nodes.length === 0) world.boot(cluster);
      return;
    }
    const sinceMs = this.#idleSinceMs.get(name) ?? world.nowMs;
    this.#idleSinceMs.set(name, sinceMs);
    if (world.nowMs - sinceMs >= lingerMs) world.release(cluster);
  }
}

const tableRates = (machine: SharedMachine): NonNullable<Report['rates']> => ({
  prefillTps: machine.speeds(clusters.length, 1).prefillTps,
  decode: Array.from({ length: slots }, (_, index) => ({
    b: index + 1,
    tps: machine.speeds(clusters.length, index + 1).decodeTps,
    n: 1_000,
  })),
});

/** Old figures lose half of their weight in so much observed time, as in the agent. */
const halfLifeMs = 60_000;
type Speed = { tokens: number; ms: number };

/** The agents' own figures: what they said when the load began, and what they would have measured since. */
class Meters implements NodeMeters {
  readonly #machine: SharedMachine;
  readonly #first: Readonly<Record<string, Report['rates']>>;
  readonly #nodes = new Map<string, { read: Speed; written: Map<number, Speed> }>();

  constructor(machine: SharedMachine, first: Readonly<Record<string, Report['rates']>>) {
    this.#machine = machine;
    this.#first = first;
  }

  of(nodeId: string): NodeMeter {
    const cluster = nodeId.replace(/-\d+$/, '');
    const isFirst = nodeId.endsWith('-0');
    const stated = (isFirst ? this.#first[cluster] : undefined) ?? tableRates(this.#machine);
    const read = { tokens: stated.prefillTps ?? 1, ms: 1_000 };
    const written = new Map(stated.decode.map(({ b, tps, n }) => [b, { tokens: n, ms: (n / tps) * 1_000 }]));
    this.#nodes.set(nodeId, { read, written });
    return (spent) => {
      if (spent.reading > 0) add(read, spent.read, spent.ms * spent.reading);
      if (spent.writing === 0) return;
      const speed = written.get(spent.writing) ?? { tokens: 0, ms: 0 };
      add(speed, spent.written, spent.ms);
      written.set(spent.writing, speed);
    };
  }

  rates(nodeId: string): Report['rates'] {
    const node = this.#nodes.get(nodeId);
    if (!node) return undefined;
    return {
      prefillTps: (node.read.tokens / node.read.ms) * 1_000,
      decode: [...node.written]
        .filter(([, { tokens }]) => tokens >= 50)
        .sort(([a], [b]) => a - b)
        .map(([b, { tokens, ms }]) => ({ b, tps: (tokens / ms) * 1_000, n: Math.round(tokens) })),
    };
  }
}

function add(speed: Speed, tokens: number, ms: number): void {
  const keep = 0.5 ** (ms / halfLifeMs);
  speed.tokens = speed.tokens * keep + tokens;
  speed.ms = speed.ms * keep + ms;
}
