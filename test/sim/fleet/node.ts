import { type ClusterSpec, decodeAt, prefillContention } from './scenario.ts';
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

export type Job = { readonly live: Live; prefillLeft: number; outputLeft: number };

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
  /** Tokens of each session in its memory, the one used last at the end. */
  readonly cache: Map<string, number>;
};

export type SimCluster = {
  readonly spec: ClusterSpec;
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
function speedOf({ jobs, cluster: { spec } }: SimNode, { prefillLeft, live }: Job): number {
  const b = jobs.length;
  const tps = prefillLeft > 0 ? spec.prefillTps / (1 + prefillContention * (b - 1)) : decodeAt(spec, b) / b;
  return tps / live.arrival.slowness / 1_000;
}

/** Lets the time since the last change act on the jobs of a node. To be called before anything about them changes. */
export function apply(node: SimNode, nowMs: number): void {
  const elapsedMs = nowMs - node.appliedAtMs;
  node.appliedAtMs = nowMs;
  if (elapsedMs <= 0 || node.jobs.length === 0) return;
  node.busyMs += elapsedMs;
  for (const job of node.jobs) {
    const speed = speedOf(node, job);
    if (job.prefillLeft > 0) {
      job.prefillLeft = snap(job.prefillLeft - speed * elapsedMs);
      if (job.prefillLeft === 0) job.live.firstTokenAtMs ??= nowMs;
    } else {
      job.outputLeft = snap(job.outputLeft - speed * elapsedMs);
    }
  }
}

/** How long until the first of a node's jobs is through with its prompt or its answer, in ms; Infinity without jobs. */
export function untilNextMs(node: SimNode): number {
  let soonestMs = Number.POSITIVE_INFINITY;
  for (const job of node.jobs)
    soonestMs = Math.min(soonestMs, (job.prefillLeft || job.outputLeft) / speedOf(node, job));
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
  node.jobs.push({ live, prefillLeft: prompt - cached, outputLeft: arrival.outputTokens - live.delivered });
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
