import type { Scorer } from './scorer.ts';

/** Unit: USD that this request is predicted to cost. */
export const costScorer: Scorer = (feasible) => feasible.map(({ prediction }) => prediction.usd);
