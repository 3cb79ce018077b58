import type { Tariff } from '@drover/schemas';
import { decodeTps, slotsPerNode } from './rates.ts';
import type { ClusterView } from './types.ts';

const secondsPerHour = 3_600;

/**
 * The classic formula: node price ÷ (tokens per second × 3600) × overhead × 1000, in USD per 1,000 output tokens.
 * `tokensPerSecond` is what the node can do with all its slots busy, never what it happens to do now: an idle node would
 * look dear and a busy one would draw the herd.
 */
export const nominalUsdPer1k = (
  usdPerHour: number,
  tokensPerSecond: number,
  overheadFactor: number,
): number => (usdPerHour / (tokensPerSecond * secondsPerHour)) * overheadFactor * 1_000;

/**
 * The nominal price of a cluster at its capacity, or a provider's own; undefined while its price or its rate is unknown.
 * Where a provider reads dearer than it writes (embeddings, which write nothing) it is the price of reading: ceilings are on
 * this figure, and must bound the whole charge.
 */
export function clusterUsdPer1k(view: ClusterView, tariff: Tariff | undefined): number | undefined {
  if (tariff?.usdPerMillion)
    return Math.max(tariff.usdPerMillion.output, tariff.usdPerMillion.prompt) / 1_000;
  if (!tariff || view.provider || !view.rates || view.nodes === 0) return undefined;
  const capacity = decodeTps(view.rates.decode, slotsPerNode(view));
  if (capacity === undefined) return undefined;
  return nominalUsdPer1k(tariff.usdPerHour, capacity, tariff.overheadFactor);
}

/** What `nodeSeconds` of a node cost, in USD. */
export const usdOf = (tariff: Tariff, nodeSeconds: number): number =>
  (tariff.usdPerHour / secondsPerHour) * tariff.overheadFactor * nodeSeconds;
