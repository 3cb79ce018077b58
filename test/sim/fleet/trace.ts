import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Priority } from '@drover/schemas';
import { type Random, randomOf } from './random.ts';

const dataFolder = resolve(fileURLToPath(new URL('../../../', import.meta.url)), '..', 'shared', 'data');
const azureFile = resolve(dataFolder, 'azure-llm-2023', 'AzureLLMInferenceTrace_conv.csv');

/** One request of the hour that was recorded (or made up): its time and its tokens before scaling. */
export type Recorded = {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
};

/** One request of the simulated day. */
export type Arrival = {
  readonly id: string;
  readonly tenant: string;
  readonly priority: Priority;
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** What the request itself says about its length; absent: nothing. */
  readonly maxTokens?: number;
  /** Requests of one session begin alike. */
  readonly session: string;
  readonly ttftMaxMs: number;
  readonly deadlineAtMs: number;
  /** How much slower than usual this request is computed, whatever the node. */
  readonly slowness: number;
};

/**
 * How the trace of a service with GPUs is made to fit small CPU nodes: a fraction of its requests is kept, which keeps
 * the bursts, and tokens are scaled. Hours of different fractions one after another make a day's shape.
 */
export type Splice = {
  /** The share of the requests that is kept, hour by hour. */
  readonly kept: readonly number[];
  readonly promptDivisor: number;
  readonly outputDivisor: number;
};

/** What each class of requests is promised; an invention of this study, the same for all policies. */
export const promises: Readonly<Record<Priority, { share: number; ttftMaxMs: number; deadlineMs: number }>> =
  {
    // The 99th percentile of the answers, 300 tokens, takes 80 s on the slowest node when it is full.
    interactive: { share: 0.6, ttftMaxMs: 10_000, deadlineMs: 120_000 },
    standard: { share: 0.3, ttftMaxMs: 30_000, deadlineMs: 180_000 },
    batch: { share: 0.1, ttftMaxMs: 200_000, deadlineMs: 300_000 },
  };
/** The mean time per output token that an answer may take to count, in ms. */
export const tpotMaxMs = 500;
/** Requests come from five tenants of different size. */
const tenants = [0.4, 0.25, 0.15, 0.12, 0.08];
/** A request continues an earlier one of its tenant with this probability, if there was one in the last minutes. */
const continuing = 0.4;
const sessionMs = 300_000;
/** Spread of how fast requests are computed: the standard deviation of the logarithm. */
const slownessSpread = 0.1;

export type Source = {
  readonly recorded: readonly Recorded[];
  readonly hourMs: number;
  readonly label: string;
};

/** The recorded hour, or an invented one that says so. */
export function sourceOf(seed: number): Source {
  if (!existsSync(azureFile)) return syntheticSource(seed);
  const [, ...lines] = readFileSync(azureFile, 'utf8').trim().split(/\r?\n/);
  const rows = lines.map((line) => {
    const [time = '', prompt, output] = line.split(',');
    return {
      ms: Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`),
      prompt: Number(prompt),
      output: Number(output),
    };
  });
  const startMs = rows[0]?.ms ?? 0;
  const endMs = rows.at(-1)?.ms ?? 0;
  return {
    recorded: rows.map(({ ms, prompt, output }) => ({
      atMs: ms - startMs,
      promptTokens: prompt,
      outputTokens: output,
    })),
    hourMs: endMs - startMs,
    label: 'Azure LLM inference trace 2023, conversation (Splitwise, ISCA 2024; CC-BY 4.0)',
  };
}

/** Bursty arrivals (gamma, CV 2) with lognormal lengths of about the same means as the recorded hour. */
export function syntheticSource(seed: number): Source {
  const random = randomOf(seed, 'synthetic');
  const recorded: Recorded[] = [];
  const hourMs = 3_504_000;
  for (let atMs = 0; atMs < hourMs; ) {
    // A mixture of two exponentials: mean 181 ms, CV 2.
    atMs += random.exponential(random.uniform() < 0.8873 ? 102 : 802);
    recorded.push({
      atMs,
      promptTokens: Math.max(1, Math.round(850 * Math.exp(0.78 * random.normal()))),
      outputTokens: Math.max(1, Math.round(150 * Math.exp(0.82 * random.normal()))),
    });
  }
  return {
    recorded,
    hourMs,
    label: 'SYNTHETIC load (the recorded trace was not found): gamma-like arrivals, lognormal lengths',
  };
}

/** The day: thinned, scaled, spliced, with tenants, priorities and sessions drawn by the seed. */
export function dayOf(source: Source, splice: Splice, seed: number): { arrivals: Arrival[]; endMs: number } {
  const random = randomOf(seed, 'day');
  const arrivals: Arrival[] = [];
  const sessions = new Sessions();
  splice.kept.forEach((kept, hour) => {
    for (const { atMs, promptTokens, outputTokens } of source.recorded) {
      // Four draws for each recorded request, kept or not: another fraction keeps the same others.
      const [keep, mark] = [random.uniform(), random.uniform()];
      const [who, how] = [random.uniform(), random.normal()];
      if (keep >= kept) continue;
      const tenant = tenantOf(who);
      const priority = priorityOf(mark);
      const at = hour * source.hourMs + atMs;
      const { ttftMaxMs, deadlineMs } = promises[priority];
      arrivals.push({
        id: `r${arrivals.length}`,
        tenant,
        priority,
        atMs: at,
        promptTokens: Math.max(1, Math.round(promptTokens / splice.promptDivisor)),
        outputTokens: Math.max(1, Math.round(outputTokens / splice.outputDivisor)),
        session: sessions.of(tenant, at, random),
        ttftMaxMs,
        deadlineAtMs: at + deadlineMs,
        slowness: Math.exp(slownessSpread * how),
      });
    }
  });
  return { arrivals, endMs: splice.kept.length * source.hourMs + promises.batch.deadlineMs };
}

function tenantOf(draw: number): string {
  let rest = draw;
  const index = tenants.findIndex((share) => {
    rest -= share;
    return rest < 0;
  });
  return `t${Math.max(0, index)}`;
}

function priorityOf(draw: number): Priority {
  if (draw < promises.interactive.share) return 'interactive';
  return draw < promises.interactive.share + promises.standard.share ? 'standard' : 'batch';
}

class Sessions {
  readonly #open = new Map<string, { name: string; atMs: number }[]>();
  #made = 0;

  of(tenant: string, atMs: number, random: Random): string {
    const open = (this.#open.get(tenant) ?? []).filter((one) => atMs - one.atMs < sessionMs);
    const [goesOn, which] = [random.uniform() < continuing, random.uniform()];
    const continued = goesOn ? open[Math.floor(which * open.length)] : undefined;
    const name = continued?.name ?? `s${this.#made++}`;
    this.#open.set(tenant, [...open.filter((one) => one !== continued), { name, atMs }]);
    return name;
  }
}
