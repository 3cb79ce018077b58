import {
  buckets,
  clusterOf,
  type Event,
  event,
  job,
  ledgerRecord,
  maxAttempts,
  type Outcome,
  parseMessage,
  requestIdOf,
  streams,
  tokenOf,
  writers,
} from '@drover/schemas';
import { z } from 'zod';
import type { Stored, StreamModel } from './hub/stream.ts';
import { Leadership } from './leadership.ts';
import type { SimProcess } from './process.ts';

/** Every invariant that a run is checked against, by name. */
export const invariants = [
  'exactly-one-outcome',
  'every-token-once-in-order',
  'at-most-one-owner-commits',
  'stale-owner-is-never-heard',
  'one-assignment-at-a-time',
  'no-assignment-beyond-slots',
  'nothing-waits-forever',
  'dead-letter-after-max-attempts',
  'one-leader-at-a-time',
  'deposed-leader-changes-nothing',
  'wakes-say-what-the-leader-wants',
  'settled-exactly-once',
  'no-process-breaks',
] as const;

export type Violation = { readonly invariant: (typeof invariants)[number]; readonly detail: string };

/** What the event log says of one request. */
export type Log = {
  accepted: boolean;
  /** Who wrote the last `running` event. */
  owner: { process: SimProcess | undefined; cluster: string; attempt: number } | undefined;
  /** Its owner has given it back, and nobody has taken it since. */
  released: boolean;
  /** Nothing may follow. */
  ended: { outcome: Outcome; event: Event; by: SimProcess | undefined; writer: string } | undefined;
  /** Its record is in the ledger. */
  settled: boolean;
  runs: number;
  deadLetter: boolean;
};

/** What is looked at of a decision: to parse all of it takes longer than to make it. */
const choice = z.object({
  kind: z.string(),
  chosen: z.string().optional(),
  request: z.string(),
  candidates: z.array(z.object({ cluster: z.string(), load: z.number(), slots: z.number() })),
});

const leaseStream = `KV_${buckets.leases.name}`;

/** Looks at everything that the streams store, as it is stored. */
export class History {
  readonly logs = new Map<string, Log>();
  readonly violations: Violation[] = [];
  assignments = 0;
  readonly leadership = new Leadership((invariant, detail) => this.violated(invariant, detail));
  readonly #slotLimits: ReadonlyMap<string, number>;

  /** @param slotLimits the most unsettled jobs that a cluster may have; absent: no limit */
  constructor(slotLimits: ReadonlyMap<string, number>) {
    this.#slotLimits = slotLimits;
  }

  log(id: string): Log {
    let log = this.logs.get(id);
    if (!log) {
      log = {
        accepted: false,
        owner: undefined,
        released: false,
        ended: undefined,
        settled: false,
        runs: 0,
        deadLetter: false,
      };
      this.logs.set(id, log);
    }
    return log;
  }

  violated(invariant: Violation['invariant'], detail: string): void {
    this.violations.push({ invariant, detail });
  }

  onStored(stream: StreamModel, message: Stored): void {
    const id = requestIdOf(message.subject);
    switch (stream.name) {
      case streams.requests.name:
        this.log(id).accepted = true;
        break;
      case streams.deadLetters.name:
        this.log(id).deadLetter = true;
        break;
      case streams.jobs.name:
        this.#onJob(stream, message);
        break;
      case streams.events.name:
        this.#onEvent(message);
        break;
      case streams.decisions.name:
        this.#onDecision(message);
        break;
      case streams.ledger.name:
        this.#onRecord(message);
        break;
      case streams.wakes.name:
        this.leadership.onWake(message);
        break;
      case leaseStream:
        this.leadership.onLease(message);
        break;
    }
  }

  onExpired(stream: StreamModel, { subject, seq }: Stored): void {
    if (stream.name === streams.wakes.name) this.leadership.onWakeExpired(subject, seq);
    if (stream.name === leaseStream) this.leadership.onLeaseExpired();
  }

  onDeleted(stream: StreamModel, message: Stored, by: SimProcess): void {
    if (stream.name === streams.wakes.name) this.leadership.onWakeRemoved(message, by);
  }

  /** One record per request, and no other tokens than the event says that were metered. */
  #onRecord(message: Stored): void {
    const parsed = parseMessage(ledgerRecord, message.data);
    if (!parsed.ok) throw new Error(parsed.problem);
    const { request, status, portions, promptTokens, completionTokens } = parsed.value;
    const log = this.log(request);
    const wrong = (what: string) => this.violated('settled-exactly-once', `${request} ${what}`);
    if (log.settled) wrong('has two records');
    log.settled = true;
    const event = log.ended?.event;
    if (event?.state !== 'ended') {
      wrong('has a record and no end');
      return;
    }
    const metered = event.metered ?? [];
    const paid = portions.map(({ usd: _usd, ...portion }) => portion);
    if (JSON.stringify(paid) !== JSON.stringify(metered) || status !== event.outcome.status)
      wrong(`was settled as ${JSON.stringify(paid)}, metered as ${JSON.stringify(metered)}`);
    const sum = (of: 'promptTokens' | 'completionTokens') => metered.reduce((all, one) => all + one[of], 0);
    if (
      event.metered &&
      (promptTokens !== sum('promptTokens') || completionTokens !== sum('completionTokens'))
    )
      wrong('has other sums than its portions');
  }

  #onJob(stream: StreamModel, message: Stored): void {
    this.assignments++;
    const parsed = parseMessage(job, message.data);
    if (!parsed.ok) throw new Error(parsed.problem);
    const { request, attempt, cluster } = parsed.value;
    this.log(request.id).released = false;
    this.#checkSlots(stream, cluster);
    for (const other of stream.messages) {
      if (other.seq === message.seq || requestIdOf(other.subject) !== request.id) continue;
      const before = parseMessage(job, other.data);
      if (before.ok && before.value.attempt >= attempt)
        this.violated(
          'one-assignment-at-a-time',
          `${request.id} attempt ${attempt} was assigned to ${clusterOf(message.subject)} beside attempt ${before.value.attempt} of ${clusterOf(other.subject)}`,
        );
    }
  }

  #checkSlots(stream: StreamModel, cluster: string): void {
    const limit = this.#slotLimits.get(cluster);
    const isNewest = ({ seq, subject }: Stored) =>
      !stream.messages.some(
        (other) => other.seq > seq && requestIdOf(other.subject) === requestIdOf(subject),
      );
    const unsettled = stream.messages.filter((one) => {
      const { ended, released } = this.log(requestIdOf(one.subject));
      return clusterOf(one.subject) === cluster && !ended && !released && isNewest(one);
    });
    if (limit !== undefined && unsettled.length > limit)
      this.violated(
        'no-assignment-beyond-slots',
        `${cluster} got ${unsettled.length} jobs for ${limit} slots`,
      );
  }

  #onEvent(message: Stored): void {
    const parsed = parseMessage(event, message.data);
    if (!parsed.ok) throw new Error(parsed.problem);
    const id = requestIdOf(message.subject);
    const writer = tokenOf(message.subject, 2);
    const log = this.log(id);
    const one = parsed.value;
    log.released = one.state === 'released';
    if (log.ended)
      this.violated('exactly-one-outcome', `${id}: ${one.state} by ${writer} after it had ended`);
    if (one.state === 'running') {
      if (log.owner && one.attempt <= log.owner.attempt)
        this.violated('at-most-one-owner-commits', `${id}: attempt ${one.attempt} began twice`);
      log.owner = { process: message.by, cluster: writer, attempt: one.attempt };
      log.runs++;
      if (log.runs > maxAttempts)
        this.violated('dead-letter-after-max-attempts', `${id} was run ${log.runs} times`);
      return;
    }
    this.#onCommit(id, log, one, writer, message.by);
    if (one.state === 'ended') log.ended = { outcome: one.outcome, event: one, by: message.by, writer };
  }

  /** What an agent says of an attempt has to come from its owner. */
  #onCommit(id: string, log: Log, one: Event, writer: string, by: SimProcess | undefined): void {
    if (Object.hasOwn(writers, writer)) return;
    const isExhausted =
      one.state === 'ended' && one.outcome.status === 'failed' && one.outcome.code === 'attempts_exhausted';
    if (isExhausted) return;
    const { owner } = log;
    if (owner?.process !== by || owner?.cluster !== writer || owner?.attempt !== one.attempt)
      this.violated(
        'at-most-one-owner-commits',
        `${id}: ${one.state} of attempt ${one.attempt} by ${by?.name}, but ${owner?.process?.name} owns attempt ${owner?.attempt}`,
      );
  }

  /** A scheduler chooses only what it sees free. */
  #onDecision(message: Stored): void {
    const parsed = parseMessage(choice, message.data);
    if (!parsed.ok) throw new Error(parsed.problem);
    const { kind, chosen, request, candidates } = parsed.value;
    const candidate = candidates.find(({ cluster }) => cluster === chosen);
    if (kind === 'assign' && candidate && candidate.load >= candidate.slots)
      this.violated(
        'no-assignment-beyond-slots',
        `${request} was assigned to ${chosen}, which had ${candidate.load} jobs in ${candidate.slots} slots`,
      );
  }
}
