import type { Expectation } from './ledger.ts';
import type { Decision, TokenEstimate } from './types.ts';

/** What an assignment promises by the rates alone: the correction that the prediction contains is taken out again. */
export function expectationOf(
  { chosen, basis }: Extract<Decision, { kind: 'assign' }>,
  estimate: TokenEstimate,
  nowMs: number,
): Expectation {
  const { prediction, candidate } = chosen;
  const corrected = basis.context.policy.residuals ? (candidate.residual ?? 1) : 1;
  return {
    atMs: nowMs,
    ttftMs: prediction.ttftMs / corrected,
    tpotMs: prediction.tpotMs / corrected,
    outputTokens: estimate.outputTokens,
    cachedTokens: candidate.cachedTokens ?? 0,
  };
}
