import { createHash } from 'node:crypto';
import { job, type Request, type RequestId, request, requestId } from '@drover/schemas';

/** What a dead letter held, as far as it can be read: a request, or the request inside a job. */
export function requestIn(value: unknown): Request | undefined {
  const asRequest = request.safeParse(value);
  if (asRequest.success) return asRequest.data;
  const asJob = job.safeParse(value);
  return asJob.success ? asJob.data.request : undefined;
}

const idMax = 64;

/**
 * Pure. The id under which a dead letter is submitted again. The old id has its outcome, and only one is ever visible. The
 * new one follows from the letter, so that a retry that was interrupted and is repeated is recognised as the same.
 */
export function retryId(old: RequestId, seq: number): RequestId {
  const id = `${old}-r${seq}`;
  if (id.length <= idMax) return requestId.parse(id);
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 32);
  return requestId.parse(`retry-${seq}-${hash}`);
}

/**
 * Pure. The request as it is submitted again: with a new id, and as much time as it had the first time.
 * @param withinMs another time to its deadline; undefined: the same
 */
export function retried(
  old: Request,
  { seq, nowMs, withinMs }: { seq: number; nowMs: number; withinMs: number | undefined },
): Request {
  const givenMs = withinMs ?? Math.max(1_000, old.deadlineAtMs - old.submittedAtMs);
  return { ...old, id: retryId(old.id, seq), submittedAtMs: nowMs, deadlineAtMs: nowMs + givenMs };
}
