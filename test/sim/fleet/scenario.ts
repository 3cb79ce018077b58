import { randomOf } from './random.ts';

/** A cluster as it is, whatever anybody believes about it. */
export type ClusterSpec = {
  readonly name: string;
  readonly instance: string;
  readonly slots: number;
  readonly nodesMax: number;
  /** Prompt tokens per second of one node, alone. */
  readonly prefillTps: number;
  /** Output tokens per second of one node with one stream. */
  readonly decodeTps: number;
  /** How strongly streams slow each other: D(b) = D1·b / (1 + β(b−1)). */
  readonly contention: number;
  readonly bootMs: number;
  /** The price that the walk comes back to, in USD per node and hour. */
  readonly usdPerHour: number;
  /** What a configuration file would say: the list price. */
  readonly listUsdPerHour: number;
  readonly market: 'spot' | 'on-demand';
  readonly preemptPerHour: number;
  /** Spread of one step of the price's logarithm; 0: the price stands still. */
  readonly walk: number;
};

/** A cluster loses all its nodes and starts none. */
export type Outage = { readonly cluster: string; readonly fromMs: number; readonly toMs: number };

/** How fast one node is while so many nodes of its machine are busy and it has so many jobs itself; tokens per second. */
export type Speeds = { readonly prefillTps: number; readonly decodeTps: number };

/**
 * One machine that all nodes share: what one does slows the others. Its nodes read prompts first, as llama.cpp does: who
 * writes on the same node waits meanwhile.
 */
export type SharedMachine = {
  /** A job holds its slot for so long without any work, on the way there and back. */
  readonly aroundMs: number;
  speeds(busyNodes: number, jobs: number): Speeds;
};

export type Scenario = {
  readonly name: string;
  readonly about: string;
  readonly clusters: readonly ClusterSpec[];
  readonly outages: readonly Outage[];
  /** Absent: every node has a machine of its own. */
  readonly machine?: SharedMachine;
};

/** Prices change on this grid, which is a multiple of the bound's bins. */
export const priceStepMs = 300_000;
const reversion = 0.1;

/** The throughput of one node with `b` streams, in tokens per second. */
export const decodeAt = ({ decodeTps, contention }: ClusterSpec, b: number): number =>
  (decodeTps * b) / (1 + contention * (b - 1));

/** Beside each other stream, a prompt is read this much slower. */
export const prefillContention = 0.3;

/** One price per step: comes back to its mean, stays within half and twice of it and below the list price. */
export function pricesOf(spec: ClusterSpec, endMs: number, seed: number): readonly number[] {
  const random = randomOf(seed, `price ${spec.name}`);
  const prices: number[] = [];
  let log = 0;
  for (let atMs = 0; atMs <= endMs; atMs += priceStepMs) {
    const factor = Math.min(2, Math.max(0.5, Math.exp(log)));
    prices.push(spec.walk === 0 ? spec.usdPerHour : Math.min(spec.listUsdPerHour, spec.usdPerHour * factor));
    log = log * (1 - reversion) + spec.walk * random.normal();
  }
  return prices;
}

const minute = 60_000;

/**
 * Three offers of the published price points, on spot. Speeds are those of a small quantised model on so many virtual
 * CPUs, an assumption; the loss of a node 0.2 to 0.4 times an hour is the lower end of what was measured on spot CPUs.
 */
export const spot: Scenario = {
  name: 'spot',
  about: 'spot nodes at published prices that walk, nodes that are taken away, one outage of half an hour',
  clusters: [
    {
      name: 'aws-us-east-1',
      instance: 'r7i.xlarge',
      slots: 4,
      nodesMax: 4,
      prefillTps: 200,
      decodeTps: 23.8,
      contention: 0.8,
      bootMs: 75_000,
      usdPerHour: 0.1102,
      listUsdPerHour: 0.2646,
      market: 'spot',
      preemptPerHour: 0.2,
      walk: 0.06,
    },
    {
      name: 'gcp-us-central1',
      instance: 'n2-highcpu-4',
      slots: 4,
      nodesMax: 4,
      prefillTps: 150,
      decodeTps: 18.7,
      contention: 0.8,
      bootMs: 60_000,
      usdPerHour: 0.04467,
      listUsdPerHour: 0.14339,
      market: 'spot',
      preemptPerHour: 0.4,
      walk: 0.06,
    },
    {
      name: 'azure-eastus',
      instance: 'Standard_B2as_v2',
      slots: 2,
      nodesMax: 4,
      prefillTps: 80,
      decodeTps: 10,
      contention: 0.8,
      bootMs: 90_000,
      usdPerHour: 0.02068,
      listUsdPerHour: 0.0752,
      market: 'spot',
      preemptPerHour: 0.3,
      walk: 0.06,
    },
  ],
  outages: [{ cluster: 'gcp-us-central1', fromMs: 160 * minute, toMs: 190 * minute }],
};

const listed = (name: string, instance: string, usdPerHour: number, capacityTps: number) => ({
  name,
  instance,
  slots: 4,
  nodesMax: 4,
  prefillTps: capacityTps * 8,
  // The published figure is the throughput at capacity: D(4).
  decodeTps: (capacityTps * (1 + 0.8 * 3)) / 4,
  contention: 0.8,
  bootMs: 75_000,
  usdPerHour,
  listUsdPerHour: usdPerHour,
  market: 'on-demand' as const,
  preemptPerHour: 0,
  walk: 0,
});

/** The three nodes of the earlier system's table at their list prices: nothing moves, and prices differ by a quarter. */
export const list: Scenario = {
  name: 'list',
  about: "the earlier system's three nodes at list price: prices stand still and nothing fails",
  clusters: [
    listed('aws-us-east-1', 't3.large', 0.0928, 15),
    listed('gcp-us-central1', 'n1-standard-2', 0.095, 12),
    listed('azure-eastus', 'Standard_D2s_v3', 0.0968, 14),
  ],
  outages: [],
};
