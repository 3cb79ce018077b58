import { setTimeout as sleep } from 'node:timers/promises';
import { buckets, type PolicyInput, policyKeys } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { connectAs } from '../../support/connect-as.ts';
import type { TestSystem } from '../../support/system.ts';
import { type Random, randomOf } from '../fleet/random.ts';
import { type Answer, ask, type Target, ttftOf, wordsOf } from './load.ts';
import { clusters, only, slots, still } from './setting.ts';

/** What the machine can do, by the number of llama.cpp that are at work and the replies that each of them writes. */
export type Calibration = {
  /** Tokens per second that one llama.cpp reads while so many (index + 1) are at work. */
  readonly prefillTps: readonly number[];
  /** Tokens per second that one llama.cpp writes, by those at work and its own replies. */
  readonly decodeTps: readonly (readonly number[])[];
  /** Time to first token beyond reading the prompt, in ms: the way there and back, and the first token itself. */
  readonly overheadMs: number;
  /** From the start of a node to its agent being ready. */
  readonly bootMs: number;
};

const passes = 2;
const writeTokens = 130;
const readWords = [4, 80, 20, 60, 40, 90];
const settleMs = 150;
/** Replies that are measured together have to overlap by this much. */
const windowMinMs = 300;

/** Puts the policy in force; the scheduler hears of it within milliseconds. */
export async function setPolicy(system: TestSystem, policy: PolicyInput): Promise<void> {
  await using nats = await connectAs(system, 'admin');
  const bucket = await new Kvm(nats.js).open(buckets.policy.name);
  await bucket.put(policyKeys.active, JSON.stringify(policy));
  await sleep(settleMs);
}

/**
 * Measures the machine by itself, before the load and without it, through the whole system, so that what the other
 * processes take is in the rates.
 */
export async function calibrate(system: TestSystem, target: Target): Promise<Calibration> {
  const bench = new Bench(system, target, randomOf(1, 'calibration'));
  await bench.warmUp();
  const levels = clusters.map(() => ({ points: [] as Point[], writes: [] as number[][] }));
  // Twice over all, so that a slow moment of the machine does not fall on one figure alone.
  for (let pass = 0; pass < passes; pass++)
    for (const [index, { points, writes }] of levels.entries()) {
      points.push(...(await bench.reading(index + 1)));
      const byReplies: number[] = [];
      for (let replies = 1; replies <= slots; replies++)
        byReplies.push(await bench.writing(index + 1, replies));
      writes.push(byReplies);
    }
  await setPolicy(system, still);
  const lines = levels.map(({ points }) => line(points));
  return {
    prefillTps: lines.map(({ slope }) => 1_000 / slope),
    decodeTps: levels.map(({ writes }) => meansOf(writes)),
    overheadMs: Math.max(0, median(lines.map(({ intercept }) => intercept))),
    bootMs: await boot(system, clusters.at(-1)?.id ?? ''),
  };
}

/** Column by column. */
const meansOf = (rows: readonly (readonly number[])[]): number[] =>
  (rows[0] ?? []).map((_, column) => rows.reduce((sum, row) => sum + (row[column] ?? 0), 0) / rows.length);

/** Prompt tokens that were computed, and the time to first token in ms. */
type Point = { readonly x: number; readonly y: number };

class Bench {
  readonly #system: TestSystem;
  readonly #target: Target;
  readonly #random: Random;

  constructor(system: TestSystem, target: Target, random: Random) {
    this.#system = system;
    this.#target = target;
    this.#random = random;
  }

  /** Everything once: what is compiled, mapped and opened at the first use is not measured. */
  async warmUp(): Promise<void> {
    for (const { id } of clusters) {
      await this.#force(id);
      await Promise.all(Array.from({ length: slots }, () => this.#ask(60, 60)));
      await this.#ask(60, 60);
    }
  }

  /** Prompts of several lengths, one after the other, on one llama.cpp, while the others that are at work each write a reply. */
  async reading(busy: number): Promise<Point[]> {
    const done = new AbortController();
    const others = clusters.slice(1, busy);
    const writing: Promise<unknown>[] = [];
    for (const { id } of others) {
      await this.#force(id);
      writing.push(this.#ask(4, 1_500, done.signal).catch(() => {}));
    }
    await this.#force(clusters[0]?.id ?? '');
    const points: Point[] = [];
    for (const words of [...readWords, ...readWords]) {
      const answer = await this.#ask(words, 1);
      points.push({ x: answer.promptTokens - answer.cachedTokens, y: ttftOf(answer) });
    }
    done.abort();
    await Promise.all(writing);
    // A reply that nobody reads any more takes a moment to be given up.
    await sleep(2 * settleMs);
    return points;
  }

  /** So many replies at once on each of so many llama.cpp: the tokens per second of one of these. */
  async writing(busy: number, replies: number): Promise<number> {
    const asked: Promise<Answer>[] = [];
    for (const { id } of clusters.slice(0, busy)) {
      await this.#force(id);
      for (let n = 0; n < replies; n++) asked.push(this.#ask(4, writeTokens));
      // All of them have to be assigned before the next cluster is the only one.
      await sleep(settleMs);
    }
    const answers = await Promise.all(asked);
    for (const { id } of clusters.slice(0, busy)) {
      const there = answers.filter(({ cluster }) => cluster === id).length;
      if (there !== replies) throw new Error(`${there} of ${replies} replies were written by ${id}`);
    }
    const fromMs = Math.max(...answers.map(({ saidAtMs }) => saidAtMs[0] ?? Number.POSITIVE_INFINITY));
    const toMs = Math.min(...answers.map(({ saidAtMs }) => saidAtMs.at(-1) ?? 0));
    if (!(toMs - fromMs > windowMinMs))
      throw new Error(
        'the replies were not written at the same time: the machine is too busy to be measured',
      );
    const tokens = answers.reduce((sum, answer) => sum + tokensBetween(answer, fromMs, toMs), 0);
    return ((tokens / (toMs - fromMs)) * 1_000) / busy;
  }

  #ask(words: number, tokens: number, signal?: AbortSignal): Promise<Answer> {
    return ask(this.#target, wordsOf(words, this.#random), tokens, signal);
  }

  async #force(cluster: string): Promise<void> {
    await setPolicy(this.#system, only(cluster));
  }
}

/** Several tokens may come in one piece: they are spread evenly over the pieces. */
function tokensBetween({ saidAtMs, completionTokens }: Answer, fromMs: number, toMs: number): number {
  const pieces = saidAtMs.filter((atMs) => atMs > fromMs && atMs <= toMs).length;
  return (pieces * completionTokens) / Math.max(1, saidAtMs.length);
}

/** Stops a node and starts it again, as the autoscaler does, and says how long the start took. */
async function boot(system: TestSystem, cluster: string): Promise<number> {
  await system.stop(`agent-${cluster}`);
  await system.stop(`llama-${cluster}`);
  const startedAtMs = performance.now();
  await system.start(`llama-${cluster}`);
  await system.start(`agent-${cluster}`);
  return performance.now() - startedAtMs;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/**
 * The line through points by Theil and Sen: the median of all slopes, which a few disturbed points do not move.
 */
export function line(points: readonly Point[]): {
  slope: number;
  intercept: number;
} {
  const slopes = points.flatMap((a, index) =>
    points.slice(index + 1).flatMap((b) => (a.x === b.x ? [] : [(b.y - a.y) / (b.x - a.x)])),
  );
  const slope = median(slopes);
  return { slope, intercept: median(points.map(({ x, y }) => y - slope * x)) };
}
