import { type FailureCode, type Outcome, streams } from '@drover/schemas';
import { describeRejections } from '../core/decide.ts';
import type { Basis, Considered, Waiting } from '../core/types.ts';
import { deleteMessage } from '../nats/jobs.ts';
import { commitOutcome } from '../nats/outcomes.ts';
import { type Parts, recordDecision, waitAgain } from './parts.ts';

/** It will never run: records why, and ends it. */
export function refuse(
  parts: Parts,
  waiting: Waiting,
  failure: {
    readonly code: FailureCode;
    readonly message: string;
    readonly retryAfterMs?: number;
    readonly basis?: Basis;
  },
  considered: readonly Considered[],
  nowMs: number,
): void {
  const { code, message, retryAfterMs, basis } = failure;
  const estimate = parts.state.estimate(waiting);
  const verdict = {
    kind: 'reject',
    rule: code,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  } as const;
  recordDecision(parts, waiting, estimate, verdict, considered, parts.state.policy, nowMs, basis);
  const outcome = { status: 'failed', code, message, units: 0 } as const;
  end(parts, waiting, retryAfterMs === undefined ? outcome : { ...outcome, retryAfterMs });
}

/** Its deadline passed while it waited. `considered` says why nobody took it. */
export function expire(
  parts: Parts,
  waiting: Waiting,
  considered: readonly Considered[],
  nowMs: number,
): void {
  const message = `The deadline passed while the request waited (${describeRejections(considered)}).`;
  refuse(parts, waiting, { code: 'deadline_exceeded', message }, considered, nowMs);
}

/** Commits the outcome of a request that waits, and settles its message or its job. */
export function end(parts: Parts, waiting: Waiting, outcome: Outcome): void {
  const { state, held, nats, log, underway } = parts;
  const { id, request, previous } = waiting;
  state.queue.remove(id);
  underway.run(async () => {
    try {
      const committed = await commitOutcome(nats, {
        tenant: request.tenant,
        id,
        attempt: previous?.attempt ?? 0,
        eventSeq: previous?.eventSeq ?? 0,
        outcome,
        request,
      });
      // Not committed: it is in other hands, or has ended. Either way it does not wait here any more.
      held.ack(id);
      if (!committed || !previous) return;
      state.ledger.ended(id, Date.now());
      await deleteMessage(nats, streams.jobs.name, previous.jobSeq);
    } catch (error) {
      log.warn({ request: id, error: String(error) }, 'outcome not committed, will be tried again');
      waitAgain(parts, waiting);
      parts.onTrouble();
    }
  });
}
