import type { Policy } from '@drover/schemas';
import { ownFirstScorer, providerFirstScorer } from './class-first.ts';
import { clusterFirstScorer } from './cluster-first.ts';
import { costScorer } from './cost.ts';
import { latencyScorer } from './latency.ts';
import type { Scorer } from './scorer.ts';
import { weightedScorer } from './weighted.ts';

/**
 * What each strategy prefers, and whether traffic stays with an incumbent. Cost does: it changes with every measurement,
 * and a move for a few percent buys nothing. The others do not: load is part of a latency, so staying would undo it; an
 * order and a draw are said by the policy itself.
 */
export const strategies: Readonly<Record<Policy['strategy'], { score: Scorer; sticky: boolean }>> = {
  cost: { score: costScorer, sticky: true },
  latency: { score: latencyScorer, sticky: false },
  'cluster-first': { score: clusterFirstScorer, sticky: false },
  'own-first': { score: ownFirstScorer, sticky: false },
  'provider-first': { score: providerFirstScorer, sticky: false },
  weighted: { score: weightedScorer, sticky: false },
};
