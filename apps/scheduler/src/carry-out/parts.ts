import type { Logger, Nats } from '@drover/runtime';
import { decisionRecordOf, type PolicyInForce, type Recorded } from '../core/record.ts';
import type { Basis, Considered, TokenEstimate, Waiting } from '../core/types.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { Decisions } from '../nats/decisions.ts';
import type { HeldMessages } from '../nats/held-messages.ts';
import type { State } from '../state.ts';
import { countShadow } from '../trial-metrics.ts';
import type { Underway } from './underway.ts';

/**
 * What carrying out needs. Every function of this folder changes the ledger and the queue before it waits for anything, so
 * that the next decision sees what this one took; and mends them when JetStream says no.
 */
export type Parts = {
  readonly nats: Nats;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  readonly state: State;
  readonly held: HeldMessages;
  readonly decisions: Decisions;
  readonly underway: Underway;
  /** JetStream did not answer: planning should pause for a moment. */
  onTrouble(): void;
  /** Something changed that planning should look at. */
  wake(): void;
};

/** Back into the queue, unless its end was heard meanwhile. */
export function waitAgain({ state, held }: Parts, waiting: Waiting): void {
  if (waiting.previous || held.has(waiting.id)) state.queue.add(waiting);
}

/**
 * Publishes the record of a decision and counts it. The shadow policy is asked here, when the decision is made and carried
 * out: nothing waits for it.
 * @param policy in force when it was decided
 */
export function recordDecision(
  { state, metrics, decisions, log }: Parts,
  waiting: Waiting,
  estimate: TokenEstimate,
  verdict: Recorded,
  considered: readonly Considered[],
  policy: PolicyInForce,
  nowMs: number,
  basis?: Basis,
): void {
  const shadow = basis && state.shadow?.look(waiting.id, basis);
  const record = decisionRecordOf(waiting, estimate, verdict, considered, policy, nowMs, basis, shadow);
  decisions.publish(record);
  const { strategy, kind, rule, chosen } = record;
  metrics.decisions.inc({ cluster: chosen ?? 'none', strategy, kind, rule });
  if (record.turn) {
    const { experiment, policy: name } = record.turn;
    metrics.turns.inc({ experiment, policy: name, kind });
  }
  if (record.arm && record.attempt === 1)
    metrics.armRequests.inc({ variant: record.arm.variant, model: record.arm.model });
  if (shadow) countShadow(metrics, shadow, chosen);
  if (shadow?.kind === 'error')
    log.warn({ request: record.request, error: shadow.error }, 'shadow policy failed');
  for (const { cluster, rejection } of record.candidates)
    if (rejection) metrics.rejections.inc({ cluster, reason: rejection.code });
}
