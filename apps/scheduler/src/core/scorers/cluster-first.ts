import type { Scorer } from './scorer.ts';

/** Unit: rank. Listed clusters have their place in the list; the others come after it, by predicted cost. */
export const clusterFirstScorer: Scorer = (feasible, { policy }) => {
  const order: readonly string[] = policy.strategy === 'cluster-first' ? policy.order : [];
  return feasible.map(({ candidate, prediction: { marginalUsd: usd } }) => {
    const place = order.indexOf(candidate.view.cluster);
    return place >= 0 ? place : order.length + usd / (1 + usd);
  });
};
