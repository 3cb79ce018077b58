import type { ClusterId, DecisionInputs, DecisionRecord, Policy, ShadowNote, Turn } from '@drover/schemas';
import { isStale } from './tariffs.ts';
import type { Basis, Considered, TokenEstimate, Waiting } from './types.ts';

/** Candidates kept in a record, the best first: a record must stay small whatever the fleet. */
const candidatesMax = 64;
/** Fleets up to this size are recorded with all that the decision rested on: about 600 bytes per cluster. */
const inputsMax = 16;

export type Recorded =
  | { readonly kind: 'assign'; readonly cluster: ClusterId; readonly rule: string }
  | { readonly kind: 'reject'; readonly rule: string; readonly retryAfterMs?: number };

/** The policy that a decision was made by; `turn` while policies take turns in an experiment. */
export type PolicyInForce = { readonly value: Policy; readonly revision: number; readonly turn?: Turn };

/**
 * The record of a decision, with every candidate's numbers and, if there is a `basis` and room for it, what they were
 * computed from.
 */
export function decisionRecordOf(
  waiting: Waiting,
  estimate: TokenEstimate,
  verdict: Recorded,
  considered: readonly Considered[],
  policy: PolicyInForce,
  nowMs: number,
  basis?: Basis,
  shadow?: ShadowNote,
): DecisionRecord {
  const { request, model, arrivedAtMs, previous, arm } = waiting;
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
    candidates: considered.slice(0, candidatesMax).map((one) => candidateOf(one, nowMs)),
    ...(verdict.kind === 'reject' && verdict.retryAfterMs !== undefined
      ? { retryAfterMs: verdict.retryAfterMs }
      : {}),
    deadlineAtMs: request.deadlineAtMs,
    ...(policy.turn ? { turn: policy.turn } : {}),
    ...(arm ? { arm } : {}),
    ...(shadow ? { shadow } : {}),
    ...(basis && policy.value.snapshots && basis.candidates.length <= inputsMax
      ? { inputs: inputsOf(basis) }
      : {}),
  };
}

/** A candidate as the record shows it: pure figures, so that a decision can be compared with another. */
export function candidateOf(
  { candidate, usdPer1k, prediction, score, rejection }: Considered,
  nowMs: number,
): DecisionRecord['candidates'][number] {
  const { view, load, tariff, cachedTokens, realisedUsdPer1k } = candidate;
  return {
    cluster: view.cluster,
    slots: view.slots,
    load,
    ...(view.reportAgeMs === undefined ? {} : { reportAgeMs: view.reportAgeMs }),
    ...(tariff && !tariff.usdPerMillion ? { usdPerHour: tariff.usdPerHour } : {}),
    ...(tariff?.usdPerMillion ? { usdPerMillion: tariff.usdPerMillion } : {}),
    ...(tariff && isStale(tariff, nowMs) ? { priceStale: true as const } : {}),
    costs: {
      ...(usdPer1k === undefined ? {} : { nominalUsdPer1k: usdPer1k }),
      ...(prediction ? { marginalUsd: prediction.marginalUsd } : {}),
      ...(realisedUsdPer1k === undefined ? {} : { realisedUsdPer1k }),
    },
    ...(prediction
      ? { predicted: { ttftMs: prediction.ttftMs, tpotMs: prediction.tpotMs, totalMs: prediction.totalMs } }
      : {}),
    ...(cachedTokens ? { cachedTokens } : {}),
    ...(score === undefined ? {} : { score }),
    ...(rejection ? { rejection: { code: rejection.code, detail: rejection.detail } } : {}),
  };
}

/** Everything but the text of the prompt. */
function inputsOf({ ask, candidates, context }: Basis): DecisionInputs {
  const { endpoint, priority, deadlineAtMs, maxUsdPer1k, regions } = ask.request;
  const { policy, random, incumbent } = context;
  return {
    policy,
    random,
    ...(incumbent ? { incumbent } : {}),
    ask: {
      ...ask,
      request: {
        endpoint,
        priority,
        deadlineAtMs,
        ...(maxUsdPer1k === undefined ? {} : { maxUsdPer1k }),
        ...(regions === undefined ? {} : { regions }),
      },
    },
    candidates: [...candidates],
  };
}
