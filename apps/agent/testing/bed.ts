import assert from 'node:assert/strict';
import { createLogger, createRegistry, type Nats } from '@drover/runtime';
import {
  type Event,
  event,
  type Job,
  job,
  type Outcome,
  type Reply,
  type Report,
  reply,
  report,
  requestId,
  streams,
  subjects,
  Transcript,
  type Unit,
} from '@drover/schemas';
import type { StoredMsg } from '@nats-io/jetstream';
import { nuid } from 'nats';
import { type FakeLlama, type FakeOptions, startFakeLlama } from '../../../test/support/fake-llama.ts';
import { connectTo } from '../../../test/support/hub.ts';
import { Agent } from '../src/agent.ts';
import { readConfig } from '../src/config.ts';
import { createMetrics, type Metrics } from '../src/metrics.ts';

export const tenant = 't1';

/** An agent in this process with a fake llama.cpp and a connection of its own. */
export type Bed = AsyncDisposable & {
  readonly cluster: string;
  readonly fake: FakeLlama;
  readonly agent: Agent;
  readonly nats: Nats;
  readonly metrics: Metrics;
  /** Every report so far, in order. */
  readonly reports: readonly Report[];
};

/** Starts the agent and waits until it reports that it is ready. */
export async function startBed(
  url: string,
  cluster: string,
  options: { fake?: FakeOptions; env?: Record<string, string>; backend?: FakeLlama; ready?: boolean } = {},
): Promise<Bed> {
  const fake = options.backend ?? (await startFakeLlama(options.fake));
  const nats = await connectTo(url, `agent-${cluster}`);
  const reports: Report[] = [];
  nats.nc.subscribe(subjects.report(cluster, '*'), {
    callback: (_error, message) => void reports.push(report.parse(message.json())),
  });
  const config = readConfig({
    NATS_URL: url,
    CLUSTER: cluster,
    LLAMA_URL: fake.url,
    BENCHMARK: 'off',
    DRAIN_MS: '200',
    HEALTH_INTERVAL_MS: '100',
    ...options.env,
  });
  const metrics = createMetrics(createRegistry('agent-test'));
  const agent = new Agent({
    config,
    nats,
    log: createLogger('agent', process.env.TEST_LOG ?? 'silent'),
    metrics,
  });
  if (options.ready !== false) await eventually(() => assert.equal(reports.at(-1)?.phase, 'ready'));
  let stopped = false;
  return {
    cluster,
    fake,
    agent,
    nats,
    metrics,
    reports,
    [Symbol.asyncDispose]: async () => {
      if (stopped) return;
      stopped = true;
      await agent.stop();
      await nats[Symbol.asyncDispose]();
      if (!options.backend) await fake[Symbol.asyncDispose]();
    },
  };
}

export const newId = () => requestId.parse(`req_${nuid.next()}`);

/** A streamed completion with this prompt and limit, assigned to a cluster. */
export function jobFor(
  cluster: string,
  change: {
    id?: string;
    prompt?: string;
    tokens?: number;
    attempt?: number;
    deadlineInMs?: number;
    body?: Record<string, unknown>;
    endpoint?: string;
  } = {},
): Job {
  return job.parse({
    v: 1,
    cluster,
    attempt: change.attempt ?? 1,
    queueMs: 0,
    request: {
      v: 1,
      id: change.id ?? newId(),
      tenant,
      endpoint: change.endpoint ?? 'completion',
      submittedAtMs: Date.now(),
      deadlineAtMs: Date.now() + (change.deadlineInMs ?? 30_000),
      body: change.body ?? {
        model: 'm',
        prompt: change.prompt ?? 'hello',
        stream: true,
        max_tokens: change.tokens ?? 20,
      },
    },
  });
}

export async function assign(nats: Nats, assigned: Job): Promise<void> {
  await nats.js.publish(subjects.job(assigned.cluster, assigned.request.id), JSON.stringify(assigned));
}

/** What a reader of one request hears. */
export type Ear = {
  readonly replies: readonly Reply[];
  readonly transcript: Transcript;
  readonly text: string;
  /** Resolves with the outcome. */
  ended(maxMs?: number): Promise<Outcome>;
};

export async function listen(nats: Nats, id: string): Promise<Ear> {
  const replies: Reply[] = [];
  const transcript = new Transcript();
  nats.nc.subscribe(subjects.reply('*', tenant, id), {
    callback: (_error, message) => {
      const parsed = reply.parse(message.json());
      replies.push(parsed);
      transcript.accept(parsed);
    },
  });
  await nats.nc.flush();
  return {
    replies,
    transcript,
    get text() {
      return textOf(transcript.units);
    },
    ended: async (maxMs) => {
      await eventually(() => assert.ok(transcript.outcome, 'no end yet'), maxMs);
      assert.ok(transcript.outcome);
      return transcript.outcome;
    },
  };
}

export const textOf = (units: readonly Unit[]): string =>
  units.map((unit) => (unit.k === 'delta' ? '' : unit.t)).join('');

/** The events of a request, oldest first, with their sequences. */
export async function eventsOf(nats: Nats, id: string): Promise<{ seq: number; event: Event }[]> {
  const events: { seq: number; event: Event }[] = [];
  for (let seq = 1; ; seq++) {
    const next = await nats.jsm.direct.getMessage(streams.events.name, {
      seq,
      next_by_subj: subjects.event('*', tenant, id),
    });
    if (next === null) return events;
    seq = next.seq;
    events.push({ seq, event: event.parse(next.json()) });
  }
}

export const statesOf = async (nats: Nats, id: string): Promise<string[]> =>
  (await eventsOf(nats, id)).map((one) => one.event.state);

/** Whether the job is still in LLM_JOBS. */
export const hasJob = async (nats: Nats, { cluster, request }: Job): Promise<boolean> =>
  (await nats.jsm.direct.getMessage(streams.jobs.name, {
    last_by_subj: subjects.job(cluster, request.id),
  })) !== null;

/** Repeats the assertion until it holds; fails with its last error after `maxMs`. */
export async function eventually(assertion: () => unknown, maxMs = 5_000): Promise<void> {
  const giveUpMs = performance.now() + maxMs;
  while (true) {
    try {
      await assertion();
      return;
    } catch (error) {
      if (performance.now() > giveUpMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** The dead letters of a request, with their headers. */
export async function deadLettersOf(nats: Nats, reason: string, id: string): Promise<StoredMsg[]> {
  const last = await nats.jsm.direct.getMessage(streams.deadLetters.name, {
    last_by_subj: subjects.deadLetter(reason, id),
  });
  return last === null ? [] : [last];
}
