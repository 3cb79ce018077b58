import type { DecisionRecord, Policy, ShadowNote } from '@drover/schemas';
import { decide } from './decide.ts';
import { candidateOf } from './record.ts';
import { noteOf } from './shadow.ts';
import type { Decision } from './types.ts';

/**
 * Decides again on what a recorded decision rested on: by the policy of then, which gives the same decision number by
 * number, or by another one. Undefined for a record without its inputs.
 */
export function replay(record: DecisionRecord, policy?: Policy): Decision | undefined {
  const { inputs, decidedAtMs } = record;
  if (!inputs) return undefined;
  const { ask, candidates, random, incumbent } = inputs;
  return decide(ask, candidates, {
    policy: policy ?? inputs.policy,
    nowMs: decidedAtMs,
    random,
    ...(incumbent ? { incumbent } : {}),
  });
}

/**
 * What the shadow of a recorded decision said, again.
 * @param policy of the shadow: the record names it only   @returns undefined for a record without a shadow or its inputs
 */
export function replayShadow(
  { inputs, decidedAtMs, shadow }: DecisionRecord,
  policy: Policy,
): ShadowNote | undefined {
  if (!inputs || !shadow) return undefined;
  const { ask, candidates, random } = inputs;
  const { experiment, policy: name, incumbent } = shadow;
  const seated = incumbent ? { incumbent } : {};
  const decision = decide(ask, candidates, { policy, nowMs: decidedAtMs, random, ...seated });
  return { experiment, policy: name, ...noteOf(decision), ...seated };
}

/** The part of a record that `decide()` answers for, as text to compare: what was chosen, why, and every figure. */
export function verdictOf(record: DecisionRecord): string {
  const { kind, chosen, rule, candidates } = record;
  return JSON.stringify({ kind, chosen, rule, candidates });
}

/** The same of a decision, made at the time of the record. */
export function verdictOfReplay(decision: Decision, decidedAtMs: number): string {
  const candidates = decision.considered.map((one) => candidateOf(one, decidedAtMs));
  const chosen = decision.kind === 'assign' ? decision.cluster : undefined;
  const rule =
    decision.kind === 'assign' ? decision.rule : decision.kind === 'reject' ? decision.code : 'defer';
  return JSON.stringify({ kind: decision.kind, chosen, rule, candidates });
}
