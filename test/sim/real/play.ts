import { setTimeout as sleep } from 'node:timers/promises';
import { readSubject } from '@drover/runtime';
import { parseMessage, type Report, report, streams, subjects } from '@drover/schemas';
import { z } from 'zod';
import { startAutoscaler } from '../../../infra/local/src/autoscaler.ts';
import { connectAs } from '../../support/connect-as.ts';
import type { TestSystem } from '../../support/system.ts';
import { randomOf } from '../fleet/random.ts';
import { setPolicy } from './calibrate.ts';
import { type Answer, ask, type Planned, type Target, wordsOf } from './load.ts';
import { Others } from './others.ts';
import { clusters, driven, lingerMs } from './setting.ts';

/** A time in which a node was paid, in ms from the start of the load. */
export type Paid = { readonly cluster: string; readonly fromMs: number; readonly toMs: number };

export type Played = {
  /** Absent: it failed. */
  readonly answers: readonly { readonly planned: Planned; readonly answer: Answer | undefined }[];
  readonly paid: readonly Paid[];
  /** USD settled for these requests, by cluster. */
  readonly settledUsd: Readonly<Record<string, number>>;
  readonly settledTokens: number;
  /** Requests by the cluster that ended them. */
  readonly requests: Readonly<Record<string, number>>;
  /** The share of the processors that went to other work meanwhile; undefined when nobody can tell. */
  readonly othersShare: number | undefined;
  /** What each agent said of its own speed when the load began. */
  readonly firstRates: Readonly<Record<string, Report['rates']>>;
  readonly failures: readonly string[];
};

/** Plays a load on a system whose nodes are all up, with scaling in force and the autoscaler that obeys it. */
export async function play(
  system: TestSystem,
  target: Target,
  load: readonly Planned[],
  horizonMs: number,
  seed: number,
): Promise<Played> {
  const before = await costs(system);
  const firstRates = await ratesOf(system);
  const random = randomOf(seed, 'words');
  const prompts = load.map(({ words }) => wordsOf(words, random));
  const others = new Others(() => system.pids());
  const nodes = new NodeClock(clusters.map(({ id }) => id));
  const autoscaler = await startAutoscaler(system, {
    clusters: clusters.map(({ id }) => id),
    coolDownMs: lingerMs,
    say: (line) => nodes.hear(line),
  });
  await setPolicy(system, driven);
  const startedAtMs = performance.now();
  nodes.start(startedAtMs);
  const failures: string[] = [];
  const answers = await Promise.all(
    load.map(async (planned, index) => {
      await sleep(Math.max(0, startedAtMs + planned.atMs - performance.now()));
      const answer = await ask(target, prompts[index] ?? '', planned.maxTokens).catch((error: unknown) => {
        failures.push(String(error).slice(0, 200));
        return undefined;
      });
      return { planned, answer };
    }),
  );
  await sleep(Math.max(0, startedAtMs + horizonMs - performance.now()));
  const paid = nodes.until(startedAtMs + horizonMs);
  const othersShare = others.stop();
  await autoscaler.stop();
  const done = answers.filter(({ answer }) => answer).length;
  const after = await settled(system, before, done);
  const sinceBefore = (pick: (costs: Costs) => Map<string, number>) =>
    Object.fromEntries(
      clusters.map(({ id }) => [id, (pick(after).get(id) ?? 0) - (pick(before).get(id) ?? 0)]),
    );
  return {
    answers,
    paid,
    settledUsd: sinceBefore(({ usd }) => usd),
    settledTokens: after.tokens - before.tokens,
    requests: sinceBefore(({ requestsBy }) => requestsBy),
    othersShare,
    firstRates,
    failures,
  };
}

/** Keeps the times of nodes by what the autoscaler says. */
class NodeClock {
  readonly #upSinceMs: Map<string, number>;
  readonly #paid: { cluster: string; fromMs: number; toMs: number }[] = [];
  #startMs = 0;

  constructor(names: readonly string[]) {
    this.#upSinceMs = new Map(names.map((name) => [name, 0]));
  }

  start(atMs: number): void {
    this.#startMs = atMs;
    for (const name of this.#upSinceMs.keys()) this.#upSinceMs.set(name, atMs);
  }

  hear(line: string): void {
    const [, cluster, what] = /^(\S+): (starting|at zero)/.exec(line) ?? [];
    if (cluster === undefined) return;
    if (what === 'starting') this.#upSinceMs.set(cluster, performance.now());
    else this.#close(cluster, performance.now());
  }

  until(endMs: number): Paid[] {
    for (const cluster of [...this.#upSinceMs.keys()]) this.#close(cluster, endMs);
    return this.#paid;
  }

  #close(cluster: string, atMs: number): void {
    const since = this.#upSinceMs.get(cluster);
    if (since === undefined) return;
    this.#upSinceMs.delete(cluster);
    this.#paid.push({ cluster, fromMs: since - this.#startMs, toMs: atMs - this.#startMs });
  }
}

const costsAnswer = z.looseObject({
  data: z.array(z.looseObject({ cluster: z.string().nullable(), usd: z.number(), requests: z.number() })),
  total: z.looseObject({ completion_tokens: z.number(), requests: z.number() }),
});
type Costs = {
  readonly usd: Map<string, number>;
  readonly requestsBy: Map<string, number>;
  readonly tokens: number;
  readonly requests: number;
};

async function costs({ url, apiKey }: TestSystem): Promise<Costs> {
  const response = await fetch(`${url}/v1/costs?by=cluster`, {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  if (!response.ok) throw new Error(`/v1/costs answered ${response.status}`);
  const { data, total } = costsAnswer.parse(await response.json());
  return {
    usd: new Map(data.map(({ cluster, usd }) => [cluster ?? '', usd])),
    requestsBy: new Map(data.map(({ cluster, requests }) => [cluster ?? '', requests])),
    tokens: total.completion_tokens,
    requests: total.requests,
  };
}

/** The ledger follows the answers within a moment. */
async function settled(system: TestSystem, before: Costs, requests: number): Promise<Costs> {
  for (let tries = 0; ; tries++) {
    const now = await costs(system);
    if (now.requests - before.requests >= requests || tries === 100) return now;
    await sleep(100);
  }
}

async function ratesOf(system: TestSystem): Promise<Record<string, Report['rates']>> {
  await using nats = await connectAs(system, 'operator');
  const rates: Record<string, Report['rates']> = {};
  for (const { data } of await readSubject(nats, streams.reports.name, subjects.report('*', '*'))) {
    const parsed = parseMessage(report, data);
    if (parsed.ok) rates[parsed.value.cluster] = parsed.value.rates;
  }
  return rates;
}
