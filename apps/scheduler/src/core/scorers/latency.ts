import type { Scorer } from './scorer.ts';

/** Unit: ms until this request is predicted to be answered, the load at the cluster included. */
export const latencyScorer: Scorer = (feasible) => feasible.map(({ prediction }) => prediction.totalMs);
