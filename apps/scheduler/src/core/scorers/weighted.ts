import type { Scorer } from './scorer.ts';

/** Unit: 0 for the cluster that was drawn, 1 for the others. The chances are the weights among feasible clusters. */
export const weightedScorer: Scorer = (feasible, { policy, random }) => {
  const weights: Readonly<Record<string, number>> = policy.strategy === 'weighted' ? policy.weights : {};
  const weightOf = (index: number) => weights[feasible[index]?.candidate.view.cluster ?? ''] ?? 0;
  // One order for all schedulers and decisions, so that a draw means the same whatever order candidates come in.
  const byName = feasible.map((_, index) => index).sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  const total = byName.reduce((sum, index) => sum + weightOf(index), 0);
  let rest = random * total;
  const drawn = byName.find((index) => {
    rest -= weightOf(index);
    return rest < 0;
  });
  return feasible.map((_, index) => (index === drawn ? 0 : 1));

  function nameOf(index: number): string {
    return feasible[index]?.candidate.view.cluster ?? '';
  }
};
