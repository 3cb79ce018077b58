import type { Nats } from '@drover/runtime';
import {
  accountOf,
  agentId,
  cancel,
  clusterId,
  type Event,
  type OpenReply,
  type Outcome,
  type Portion,
  parseMessage,
  priorities,
  type Reply,
  type Report,
  type Request,
  requestConsumer,
  request as requestSchema,
  subjects,
} from '@drover/schemas';

const cluster = clusterId.parse('aws-us-east-1');
const agent = agentId.parse('fake');

/** What a script may do with one request. */
export type Job = {
  readonly request: Request;
  /** Resolves when somebody cancels the request. */
  readonly cancelled: Promise<void>;
  open(more?: Partial<OpenReply>): void;
  tokens(at: number, texts: readonly string[]): void;
  deltas(at: number, chunks: readonly (readonly unknown[])[]): void;
  body(at: number, text: string): void;
  /** `metered` is what the ledger will be told. */
  end(outcome: Outcome, metered?: Portion[]): Promise<void>;
};

export type Script = (job: Job) => Promise<void>;

/** Scheduler and agent in one: takes every request, claims it, and does what the script of the moment says. */
export type FakeFleet = {
  script: Script;
  /** Requests taken so far. */
  readonly taken: Request[];
  /** Ids that were cancelled. */
  readonly cancels: string[];
  report(phase: Report['phase']): void;
  stop(): void;
};

export async function startFakeFleet(nats: Nats): Promise<FakeFleet> {
  const waiting = new Map<string, () => void>();
  const fleet: FakeFleet = {
    script: sayHello,
    taken: [],
    cancels: [],
    report: (phase) => nats.nc.publish(subjects.report(cluster, agent), JSON.stringify(reportOf(phase))),
    stop: () => {
      for (const consumption of consumptions) consumption.stop();
      cancels.unsubscribe();
    },
  };
  const cancels = nats.nc.subscribe(subjects.cancel('*', '*'), {
    callback: (_error, message) => {
      const parsed = parseMessage(cancel, message.data);
      if (!parsed.ok) return;
      fleet.cancels.push(parsed.value.id);
      waiting.get(parsed.value.id)?.();
    },
  });
  const consumptions = await Promise.all(
    priorities.map(async (band) => {
      const { stream, name } = requestConsumer(band);
      const consumer = await nats.js.consumers.get(stream, name);
      return consumer.consume({
        callback: (message) => {
          const parsed = parseMessage(requestSchema, message.data);
          message.ack();
          if (parsed.ok) void run(parsed.value);
        },
      });
    }),
  );
  return fleet;

  async function run(request: Request): Promise<void> {
    fleet.taken.push(request);
    const cancelled = new Promise<void>((resolve) => waiting.set(request.id, resolve));
    const fence = await commit(request, {
      v: 1,
      state: 'running',
      agent,
      attempt: 1,
      atMs: 0,
      ...hashOf(request),
    });
    await fleet.script(jobOf(request, fence, cancelled));
  }

  async function commit({ tenant, id }: Request, event: Event): Promise<number> {
    const ack = await nats.js.publish(subjects.event(cluster, tenant, id), JSON.stringify(event));
    return ack.seq;
  }

  function jobOf(request: Request, f: number, cancelled: Promise<void>): Job {
    const say = (reply: Reply) =>
      nats.nc.publish(subjects.reply(cluster, request.tenant, request.id), JSON.stringify(reply));
    return {
      request,
      cancelled,
      open: (more = {}) => say({ ...openOf(request, f), ...more }),
      tokens: (at, texts) =>
        say({ v: 1, f, k: 'tokens', i: at, ids: texts.map((_, index) => at + index), t: [...texts] }),
      deltas: (at, chunks) => say({ v: 1, f, k: 'deltas', i: at, d: chunks.map((choices) => [...choices]) }),
      body: (at, text) => say({ v: 1, f, k: 'body', i: at, t: text }),
      end: async (outcome, metered) => {
        const account = { ...accountOf(request), ...(metered === undefined ? {} : { metered }) };
        const ended = { v: 1, state: 'ended', attempt: 1, atMs: 0, outcome } as const;
        await commit(request, { ...ended, ...hashOf(request), ...account });
        say({ v: 1, f, k: 'end', outcome });
      },
    };
  }
}

const hashOf = ({ bodyHash }: Request) => (bodyHash === undefined ? {} : { bodyHash });

const openOf = (request: Request, f: number): OpenReply => ({
  v: 1,
  f,
  k: 'open',
  i: 0,
  mode: 'tokens',
  attempt: 1,
  cluster,
  model: request.body.model,
  modelHash: 'hash',
  queueMs: 1.5,
  backendMs: 0.5,
  usdPer1k: 0.00042,
  ...hashOf(request),
});

const reportOf = (phase: Report['phase']): Report => ({
  v: 1,
  cluster,
  agent,
  seq: 1,
  startedAtMs: 0,
  sentAtMs: 0,
  phase,
  slots: 1,
  inFlight: [],
});

export const usage = { promptTokens: 5, completionTokens: 3 } as const;

/** The default script: three tokens. */
export const sayHello: Script = async (job) => {
  job.open();
  job.tokens(0, ['Hello', ' there']);
  job.tokens(2, ['!']);
  await job.end({ status: 'done', finish: 'stop', units: 3, usage });
};
