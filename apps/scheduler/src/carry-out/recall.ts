import { EventLog, type Nats, readMetered, type StoredEvent } from '@drover/runtime';
import { type RequestId, streams } from '@drover/schemas';
import { promptTokens } from '../core/prompt-tokens.ts';
import type { Recall } from '../core/recall.ts';
import type { RecallReason, Waiting } from '../core/types.ts';
import { deleteMessage, readJob, type StoredJob } from '../nats/jobs.ts';
import type { Parts } from './parts.ts';

/** Brings jobs that should leave their cluster into the queue, where they wait for another cluster like any request. */
export class Recaller {
  readonly #parts: Parts;
  readonly #reading = new Set<RequestId>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  recall(recall: Recall): void {
    const { id } = recall.assignment;
    const { state, underway } = this.#parts;
    if (this.#reading.has(id) || state.queue.get(id)) return;
    this.#reading.add(id);
    underway.run(() => look(this.#parts, recall).finally(() => this.#reading.delete(id)));
  }
}

/** Looks at what the streams say about the job, and lets it wait for another cluster if it still should. */
async function look({ nats, state, wake }: Parts, { assignment, reason }: Recall): Promise<void> {
  const { id, tenant, cluster } = assignment;
  const [stored, last] = await Promise.all([readJob(nats, id), new EventLog(nats, tenant, id).last()]);
  const isBegun = last !== null && (await wasBegun(nats, assignment, last));
  // Something was heard meanwhile, and is newer than what was read.
  if (state.ledger.get(id) !== assignment) return;
  if (!stored || stored.job.cluster !== cluster) {
    state.ledger.forget(id);
  } else if (last?.event.state === 'ended') {
    state.ledger.ended(id, Date.now());
    await deleteMessage(nats, streams.jobs.name, stored.seq);
  } else if (last?.event.state === 'running' && assignment.state === 'assigned' && !isDeath(reason)) {
    // The claim was not heard: it is not unclaimed after all.
    state.ledger.running({ ...assignment, attempt: last.event.attempt, sinceMs: Date.now() });
  } else {
    state.queue.add(waitingAgain(stored, last, isBegun, reason));
    wake();
  }
}

/** Whoever claimed the job is not there any more. */
const isDeath = (reason: RecallReason): boolean => reason === 'silent' || reason === 'gone';

/**
 * Whether some of the answer may have been shown: then only the very same model can go on, and no provider can. Who gave
 * the request back has written down what it had said; where nobody knows, something was.
 */
async function wasBegun(
  nats: Nats,
  { tenant, id }: Recall['assignment'],
  last: StoredEvent,
): Promise<boolean> {
  const { event } = last;
  if (event.state === 'ended') return true;
  const metered = event.state === 'released' ? event.metered : undefined;
  return (metered ?? (await readMetered(nats, tenant, id)))?.length !== 0;
}

function waitingAgain(
  { job, seq, traceparent }: StoredJob,
  last: StoredEvent | null,
  isBegun: boolean,
  reason: RecallReason,
): Waiting {
  const { request, cluster, attempt, modelHash } = job;
  return {
    id: request.id,
    request,
    model: request.body.model,
    promptTokens: promptTokens(request),
    arrivedAtMs: Date.now(),
    ...(traceparent === undefined ? {} : { traceparent }),
    previous: {
      cluster,
      attempt: Math.max(attempt, last?.event.attempt ?? 0),
      jobSeq: seq,
      eventSeq: last?.seq ?? 0,
      reason,
      ...(isBegun && modelHash !== undefined ? { modelHash } : {}),
    },
  };
}
