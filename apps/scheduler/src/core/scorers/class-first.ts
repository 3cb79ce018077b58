import type { Feasible } from '../types.ts';
import type { Scorer } from './scorer.ts';

/** Unit: rank. The preferred class has 0 to 1, the other 1 to 2, each by predicted cost. */
const classFirst =
  (prefers: (one: Feasible) => boolean): Scorer =>
  (feasible) =>
    feasible.map((one) => {
      const { marginalUsd: usd } = one.prediction;
      return (prefers(one) ? 0 : 1) + usd / (1 + usd);
    });

const isProvider = ({ candidate: { view } }: Feasible): boolean => view.provider !== undefined;

/** Nodes of our own, which are paid for anyway, before providers. */
export const ownFirstScorer = classFirst((one) => !isProvider(one));
export const providerFirstScorer = classFirst(isProvider);
