import { type ClusterSpec, decodeAt, prefillContention, type SharedMachine } from './scenario.ts';
import type { Arrival } from './trace.ts';

/** Tokens of prompts that one slot's share of a node's memory keeps. */
const cacheTokensPerSlot = 2_048;

/** A request that was let in, on its way. */
export type Live = {
  readonly arrival: Arrival;
  /** Output tokens that the client has. */
  delivered: number;
  firstTokenAtMs: number | undefined;
  attempts: number;
  cachedTokens: number;
  state: 'waiting' | 'queued' | 'running' | 'ended';
  cluster: SimCluster | undefined;
  node: SimNode | undefined;
};

export type Job = {
  readonly live: Live;
  /** What it holds its slot for before the prompt is read, in ms. */
  aroundLeftMs: number;
  prefillLeft: number;
  outputLeft: number;
};

/** One node: its slots share it as processor sharing, at the rates of the concurrency. */
export type SimNode = {
  readonly id: string;
  readonly cluster: SimCluster;
  readonly startedAtMs: number;
  phase: 'booting' | 'ready' | 'draining' | 'gone';
  readyAtMs: number;
  goneAtMs: number | undefined;
  readonly jobs: Job[];
  /** When the rates of its jobs were last applied. */
  appliedAtMs: number;
  version: number;
  busyMs: number;
  /** Hears what the node does, as its agent would. */
  readonly meter?: NodeMeter;
  /** Tokens of each session in its memory, the one used last at the end. */
  readonly cache: Map<string, number>;
};

/** So many replies were being written for so long, and came to so many tokens; so many prompts were being read. */
export type NodeMeter = (spent: {
  readonly ms: number;
  readonly writing: number;
  readonly written: number;
  readonly reading: number;
  readonly read: number;
}) => void;

/** The machine that nodes share, and how many of them have jobs now. */
export type Sharing = { readonly machine: SharedMachine; busyNodes: number };

const isReading = ({ aroundLeftMs, prefillLeft }: Job): boolean => aroundLeftMs === 0 && prefillLeft > 0;

export type SimCluster = {
  readonly spec: ClusterSpec;
  /** Absent: its nodes have machines of their own. */
  readonly sharing?: Sharing;
  readonly prices: readonly number[];
  readonly nodes: SimNode[];
  /** Sent there, no slot yet. */
  readonly queue: Live[];
  /** Everything that ever ran, for the bill. */
  readonly past: SimNode[];
  boots: number;
  /** Starts of a first node. */
  wakes: number;
  /** Output tokens that left it, for whoever measures throughput. */
  tokens: number;
  failedWakeAtMs: number | undefined;
};

/** Tokens per ms of a job in its phase, at the present concurrency of its node. */
function speedOf({ jobs, cluster: { spec, sharing } }: SimNode, { prefillLeft, live }: Job): number {
  const b = jobs.length;
  if (sharing) return sharedSpeed(sharing, jobs, prefillLeft > 0) / live.arrival.slowness / 1_000;
  const tps = prefillLeft > 0 ? spec.prefillTps / (1 + prefillContention * (b - 1)) : decodeAt(spec, b) / b;
  return tps / live.arrival.slowness / 1_000;
}

/** Tokens per second of one job of a node that reads prompts first and writes when it has none. */
function sharedSpeed({ machine, busyNodes }: Sharing, jobs: readonly Job[], reads: boolean): number {
  const reading = jobs.filter(isReading).length;
  const { prefillTps, decodeTps } = machine.speeds(Math.max(1, busyNodes), jobs.length);
  if (reads) return prefillTps / reading;
  return reading > 0 ? 0 : decodeTps / jobs.length;
}

/** Lets the time since the last change act on the jobs of a node. To be called before anything about them changes. */
export function apply(node: SimNode, nowMs: number): void {
  const elapsedMs = nowMs - node.appliedAtMs;
  node.appliedAtMs = nowMs;
  if (elapsedMs <= 0 || node.jobs.length === 0) return;
  node.busyMs += elapsedMs;
  const spent = { ms: elapsedMs, writing: 0, written: 0, reading: 0, read: 0 };
  // All speeds are those of the time that has passed: nothing may change before the last one is known.
  const speeds = node.jobs.map((job) => speedOf(node, job));
  node.jobs.forEach((job, index) => {
    const tokens = (speeds[index] ?? 0) * elapsedMs;
    if (job.aroundLeftMs > 0) {
      job.aroundLeftMs = snap(job.aroundLeftMs - elapsedMs);
    } else if (job.prefillLeft > 0) {
      spent.reading++;
      spent.read += tokens;
      job.prefillLeft = snap(job.prefillLeft - tokens);
      if (job.prefillLeft === 0) job.live.firstTokenAtMs ??= nowMs;
    } else {
      spent.writing++;
      spent.written += tokens;
      job.outputLeft = snap(job.outputLeft - tokens);
    }
  });
  node.meter?.(spent);
}

/** How long until the first of a node's jobs is through with its prompt or its answer, in ms; Infinity without jobs. */
export function untilNextMs(node: SimNode): number {
  let soonestMs = Number.POSITIVE_INFINITY;
  for (const job of node.jobs) {
    const leftMs = job.aroundLeftMs || (job.prefillLeft || job.outputLeft) / speedOf(node, job);
    soonestMs = Math.min(soonestMs, leftMs);
  }
  return soonestMs;
}

/** Gives a request a slot. What its session said before here need not be read again. */
export function begin(node: SimNode, live: Live): void {
  const { arrival } = live;
  const prompt = arrival.promptTokens + live.delivered;
  const cached = Math.min(prompt - 1, node.cache.get(arrival.session) ?? 0);
  live.state = 'running';
  live.node = node;
  live.cachedTokens = cached;
  node.jobs.push({
    live,
    aroundLeftMs: node.cluster.sharing?.machine.aroundMs ?? 0,
    prefillLeft: prompt - cached,
    outputLeft: arrival.outputTokens - live.delivered,
  });
}

/** Keeps a session in the node's memory; what was not used for longest is forgotten. */
export function remember({ cache, cluster }: SimNode, session: string, tokens: number): void {
  cache.delete(session);
  cache.set(session, tokens);
  let sum = [...cache.values()].reduce((a, b) => a + b, 0);
  for (const [oldest, size] of cache) {
    if (sum <= cacheTokensPerSlot * cluster.spec.slots) break;
    cache.delete(oldest);
    sum -= size;
  }
}

/** Tokens that the client has of a job's answer. */
export const deliveredBy = ({ live, outputLeft }: Job): number =>
  Math.max(live.delivered, Math.floor(live.arrival.outputTokens - outputLeft));

/** Less than a millionth of a token is rounding. */
const snap = (tokens: number): number => (tokens < 1e-6 ? 0 : tokens);
