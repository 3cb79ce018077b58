import type { ClusterId, DecisionRecord, Policy } from '@drover/schemas';
import type { Considered, TokenEstimate, Waiting } from './types.ts';

/** Candidates kept in a record, the best first: a record must stay small whatever the fleet. */
const candidatesMax = 64;

export type Verdict =
  | { readonly kind: 'assign'; readonly cluster: ClusterId; readonly rule: string }
  | { readonly kind: 'reject'; readonly rule: string };

/** The record of a decision, with every candidate's numbers. */
export function decisionRecordOf(
  waiting: Waiting,
  estimate: TokenEstimate,
  verdict: Verdict,
  considered: readonly Considered[],
  policy: { readonly value: Policy; readonly revision: number },
  nowMs: number,
): DecisionRecord {
  const { request, model, arrivedAtMs, previous } = waiting;
  return {
    v: 1,
    request: request.id,
    tenant: request.tenant,
    model,
    priority: request.priority,
    attempt: (previous?.attempt ?? 0) + 1,
    decidedAtMs: nowMs,
    queueMs: Math.max(0, nowMs - arrivedAtMs),
    strategy: policy.value.strategy,
    policyRevision: policy.revision,
    estimate: { promptTokens: estimate.promptTokens, outputTokens: Math.round(estimate.outputTokens) },
    kind: verdict.kind,
    ...(verdict.kind === 'assign' ? { chosen: verdict.cluster } : {}),
    rule: verdict.rule,
    candidates: considered.slice(0, candidatesMax).map(candidateOf),
  };
}

function candidateOf({ candidate, usdPer1k, prediction, score, rejection }: Considered) {
  const { view, load, tariff } = candidate;
  return {
    cluster: view.cluster,
    slots: view.slots,
    load,
    ...(view.reportAgeMs === undefined ? {} : { reportAgeMs: view.reportAgeMs }),
    ...(tariff ? { usdPerHour: tariff.usdPerHour } : {}),
    ...(usdPer1k === undefined ? {} : { usdPer1k }),
    ...(prediction ? { predicted: prediction } : {}),
    ...(score === undefined ? {} : { score }),
    ...(rejection ? { rejection: { code: rejection.code, detail: rejection.detail } } : {}),
  };
}
