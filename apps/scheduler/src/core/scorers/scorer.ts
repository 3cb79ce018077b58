import type { Context, Feasible } from '../types.ts';

/**
 * One preference. Gives each feasible cluster a finite score, lower is better, in the order of the input. The unit is
 * the scorer's own: scores of one decision are compared with each other only.
 */
export type Scorer = (feasible: readonly Feasible[], context: Context) => number[];
