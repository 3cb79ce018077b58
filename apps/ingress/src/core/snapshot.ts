import type { Event, OpenReply, Outcome, RequestId, Unit } from '@drover/schemas';
import { type ErrorEnvelope, envelope, outcomeError } from './errors.ts';
import type { Identity } from './identity.ts';
import { wholeAnswer } from './whole-answer.ts';

/** What is stored about a request. */
export type Stored = {
  readonly queued: boolean;
  readonly last: Event | null;
  readonly open: OpenReply | undefined;
  readonly units: readonly Unit[];
};

export type Snapshot = {
  readonly id: RequestId;
  readonly object: 'request';
  readonly status: 'queued' | 'running' | Outcome['status'];
  readonly attempts: number;
  readonly cluster: string | null;
  /** How many units there are; a stream can be resumed from any of them. */
  readonly units: number;
  /** The answer so far; null while there is nothing to show, or when it is no longer stored. */
  readonly answer: Record<string, unknown> | null;
  readonly error: ErrorEnvelope['error'] | null;
};

/** How a request stands, or undefined when nothing is known of it. */
export function snapshot(
  id: RequestId,
  stored: Stored,
  identity: (open: OpenReply) => Identity,
): Snapshot | undefined {
  const { last, open, units } = stored;
  if (last === null && !stored.queued && open === undefined) return undefined;
  const outcome = last?.state === 'ended' ? last.outcome : undefined;
  return {
    id,
    object: 'request',
    status: outcome?.status ?? (last === null && open === undefined ? 'queued' : 'running'),
    attempts: last?.attempt ?? open?.attempt ?? 0,
    cluster: open?.cluster ?? null,
    units: units.length,
    answer: open === undefined ? null : answerSoFar(identity(open), units, outcome),
    error: outcome === undefined || outcome.status === 'done' ? null : envelope(outcomeError(outcome)).error,
  };
}

function answerSoFar(
  identity: Identity,
  units: readonly Unit[],
  outcome: Outcome | undefined,
): Record<string, unknown> | null {
  const done = outcome?.status === 'done';
  // A body is of use only when it is whole; and part of an answer must not pass for all of it.
  const showable = done ? units.length >= outcome.units : units.length > 0 && units[0]?.k !== 'body';
  if (!showable) return null;
  return wholeAnswer(identity, units, { finish: done ? outcome.finish : null, usage: outcome?.usage });
}
