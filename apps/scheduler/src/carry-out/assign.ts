import { type Job, streams } from '@drover/schemas';
import { expectationOf } from '../core/expectation.ts';
import { clusterUsdPer1kPrompt } from '../core/prompt-price.ts';
import type { PolicyInForce } from '../core/record.ts';
import type { Decision, TokenEstimate, Waiting } from '../core/types.ts';
import { publishJob } from '../nats/assign.ts';
import { deleteMessage } from '../nats/jobs.ts';
import { type Parts, recordDecision, waitAgain } from './parts.ts';

type Assignment = Extract<Decision, { kind: 'assign' }>;

/**
 * Reserves, publishes the job (or the next attempt of a job that is moved), acknowledges the request, and records the
 * decision, in this order: a crash anywhere in between leaves one job and a request that is delivered again.
 */
export function assign(parts: Parts, waiting: Waiting, decision: Assignment, nowMs: number): void {
  const { state, nats, underway } = parts;
  const { id, request, previous, traceparent } = waiting;
  const job = jobOf(waiting, decision, nowMs);
  const estimate = state.estimate(waiting);
  const guess = state.guessOf(waiting);
  const arm = waiting.arm ?? state.ledger.get(id)?.arm;
  // It may be another one's turn when the job is stored.
  const inForce = state.policy;
  state.queue.remove(id);
  state.ledger.reserve({
    id,
    tenant: request.tenant,
    cluster: decision.cluster,
    attempt: job.attempt,
    sinceMs: nowMs,
    endpoint: request.endpoint,
    ...(arm ? { arm } : {}),
    ...(guess ? { guess } : {}),
    expected: expectationOf(decision, estimate, nowMs),
  });
  underway.run(async () => {
    const result = await publishJob(nats, job, previous?.jobSeq ?? 0, traceparent);
    if (result === 'stored') await onStored(parts, waiting, decision, estimate, inForce, nowMs);
    else if (result === 'exists') onExists(parts, waiting);
    else onFailed(parts, waiting, result.failed);
  });
}

async function onStored(
  parts: Parts,
  waiting: Waiting,
  { cluster, rule, considered, basis }: Assignment,
  estimate: TokenEstimate,
  inForce: PolicyInForce,
  decidedAtMs: number,
): Promise<void> {
  const { state, held, metrics, nats } = parts;
  const { id, request, previous, arrivedAtMs } = waiting;
  const nowMs = Date.now();
  state.ledger.confirm(id, nowMs);
  held.ack(id);
  const verdict = { kind: 'assign', cluster, rule } as const;
  recordDecision(parts, waiting, estimate, verdict, considered, inForce, decidedAtMs, basis);
  metrics.queueWait.observe({ band: request.priority }, Math.max(0, nowMs - arrivedAtMs) / 1_000);
  if (!previous) return;
  metrics.recalls.inc({ reason: previous.reason });
  await deleteMessage(nats, streams.jobs.name, previous.jobSeq);
}

/** Somebody else has assigned it. Their decision or the reconciliation tells where. */
function onExists({ state, held }: Parts, { id, previous }: Waiting): void {
  if (previous) state.ledger.forget(id);
  else state.ledger.release(id);
  held.ack(id);
}

function onFailed(parts: Parts, waiting: Waiting, error: Error): void {
  parts.log.warn({ request: waiting.id, error: error.message }, 'job not published, will be tried again');
  parts.state.ledger.release(waiting.id);
  waitAgain(parts, waiting);
  parts.onTrouble();
}

function jobOf(waiting: Waiting, { cluster, chosen }: Assignment, nowMs: number): Job {
  const { candidate, usdPer1k } = chosen;
  const usdPer1kPrompt = clusterUsdPer1kPrompt(candidate.view, candidate.tariff);
  return {
    v: 1,
    request: waiting.request,
    cluster,
    attempt: (waiting.previous?.attempt ?? 0) + 1,
    queueMs: Math.max(0, nowMs - waiting.arrivedAtMs),
    ...(usdPer1k === undefined ? {} : { usdPer1k }),
    ...(usdPer1kPrompt === undefined ? {} : { usdPer1kPrompt }),
    ...(candidate.view.model ? { modelHash: candidate.view.model.hash } : {}),
  };
}
