import { type Nats, publishIfLast } from '@drover/runtime';
import {
  type AgentId,
  agentId,
  type ClusterId,
  clusterId,
  type Event,
  type Job,
  job,
  jobConsumer,
  type Outcome,
  parseMessage,
  type Report,
  streams,
  subjects,
} from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';

export type HandJob = { readonly job: Job; readonly message: JsMsg; fence: number };

/**
 * An agent that a test plays by hand: it reports what it is told to, pulls jobs when asked, and writes the events of a
 * real agent. Reports go out every 200 ms until it is silenced.
 */
export class HandAgent {
  readonly cluster: ClusterId;
  readonly id: AgentId;
  readonly #nats: Nats;
  readonly #startedAtMs = Date.now();
  #report: ReportInput;
  #seq = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly inHand = new Map<string, HandJob>();

  constructor(
    nats: Nats,
    cluster: string,
    shape: { slots: number; tps?: number; model?: string; id?: string },
  ) {
    this.#nats = nats;
    this.cluster = clusterId.parse(cluster);
    this.id = agentId.parse(shape.id ?? `agent-${cluster}`);
    const tps = shape.tps ?? 20;
    this.#report = {
      phase: 'ready',
      slots: shape.slots,
      model: {
        name: shape.model ?? 'm1',
        hash: 'h1',
        contextTokens: 2048,
        endpoints: ['chat', 'completion', 'embedding'],
      },
      rates: {
        prefillTps: 200,
        decode: [
          { b: 1, tps, n: 100 },
          { b: shape.slots === 1 ? 2 : shape.slots, tps: tps * 1.2, n: 100 },
        ],
      },
    };
    this.speak();
  }

  /** Changes what is reported, and reports it at once. */
  say(change: Partial<ReportInput>): void {
    this.#report = { ...this.#report, ...change };
    this.#publish();
  }

  /** Reports from now on. */
  speak(): void {
    this.#publish();
    this.#timer ??= setInterval(() => this.#publish(), 200);
  }

  /** Reports no more. */
  silence(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #publish(): void {
    const inFlight = [...this.inHand.values()].map(({ job: { request, attempt } }) => ({
      id: request.id,
      attempt,
      outputTokens: 0,
    }));
    this.#nats.nc.publish(
      subjects.report(this.cluster, this.id),
      JSON.stringify({
        v: 1,
        cluster: this.cluster,
        agent: this.id,
        seq: this.#seq++,
        startedAtMs: this.#startedAtMs,
        sentAtMs: Date.now(),
        inFlight,
        ...this.#report,
      }),
    );
  }

  /** The next job of this cluster, or undefined when none comes in time. */
  async next(expiresMs = 3_000): Promise<HandJob | undefined> {
    const consumer = await this.#nats.js.consumers.get(streams.jobs.name, jobConsumer(this.cluster).name);
    const message = await consumer.next({ expires: Math.max(1_000, expiresMs) });
    if (!message) return undefined;
    const parsed = parseMessage(job, message.data);
    if (!parsed.ok) throw new Error(parsed.problem);
    return { job: parsed.value, message, fence: 0 };
  }

  async claim(taken: HandJob): Promise<boolean> {
    const last = await this.#lastSeq(taken);
    const seq = await this.#commit(taken, last, {
      v: 1,
      state: 'running',
      agent: this.id,
      attempt: taken.job.attempt,
      atMs: Date.now(),
    });
    if (seq === null) return false;
    taken.fence = seq;
    this.inHand.set(taken.job.request.id, taken);
    this.#publish();
    return true;
  }

  /** Pulls and claims. @throws when no job comes */
  async take(): Promise<HandJob> {
    const taken = await this.next();
    if (!taken || !(await this.claim(taken))) throw new Error(`no job for ${this.cluster}`);
    return taken;
  }

  async finish(taken: HandJob, outcome: Outcome = done): Promise<boolean> {
    const { attempt } = taken.job;
    const seq = await this.#commit(taken, taken.fence, {
      v: 1,
      state: 'ended',
      attempt,
      atMs: Date.now(),
      outcome,
    });
    if (seq === null) return false;
    await taken.message.ackAck();
    this.inHand.delete(taken.job.request.id);
    this.#publish();
    return true;
  }

  async release(taken: HandJob, reason: ReleaseReason, nakMs = 5_000): Promise<void> {
    await this.#commit(taken, taken.fence, {
      v: 1,
      state: 'released',
      agent: this.id,
      attempt: taken.job.attempt,
      atMs: Date.now(),
      reason,
      message: reason,
    });
    taken.message.nak(nakMs);
    this.inHand.delete(taken.job.request.id);
    this.#publish();
  }

  #commit({ job: { request } }: HandJob, lastSeq: number, event: Event): Promise<number | null> {
    return publishIfLast(
      this.#nats,
      streams.events.name,
      subjects.event(this.cluster, request.tenant, request.id),
      JSON.stringify(event),
      { guard: subjects.event('*', request.tenant, request.id), lastSeq },
    );
  }

  async #lastSeq({ job: { request } }: HandJob): Promise<number> {
    const last = await this.#nats.jsm.direct.getMessage(streams.events.name, {
      last_by_subj: subjects.event('*', request.tenant, request.id),
    });
    return last?.seq ?? 0;
  }
}

type ReleaseReason = Extract<Event, { state: 'released' }>['reason'];
/** What a test says its agent reports; the rest of a report is filled in. */
type ReportInput = Pick<Report, 'phase' | 'slots' | 'model' | 'rates'>;

export const done: Outcome = {
  status: 'done',
  finish: 'stop',
  units: 10,
  usage: { promptTokens: 5, completionTokens: 10 },
};
