import { isStale } from '../tariffs.ts';
import type { Feasible } from '../types.ts';
import type { Scorer } from './scorer.ts';

/** Unit: USD that this request is predicted to cost, by the policy's basis. A price that is past its time counts as dearer. */
export const costScorer: Scorer = (feasible, { policy, nowMs }) =>
  feasible.map((one) => {
    const { tariff } = one.candidate;
    const doubt = tariff && isStale(tariff, nowMs) ? policy.stalePriceMarkup : 0;
    return usdBy[policy.costBasis](one) * (1 + doubt);
  });

const usdBy = {
  marginal: ({ prediction }: Feasible): number => prediction.marginalUsd,
  share: ({ prediction }: Feasible): number => prediction.shareUsd,
  // What writes no tokens has no nominal price.
  nominal: ({ usdPer1k, prediction }: Feasible): number => usdPer1k ?? prediction.shareUsd,
};
