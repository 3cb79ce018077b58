import type { Tariff } from '@drover/schemas';
import { nominalUsdPer1k } from './costs.ts';
import type { ClusterView } from './types.ts';

/**
 * USD per 1,000 prompt tokens: the node's price over what it reads, or an external provider's own. Undefined while the
 * price or the rate is unknown.
 */
export function clusterUsdPer1kPrompt(view: ClusterView, tariff: Tariff | undefined): number | undefined {
  if (tariff === undefined) return undefined;
  if (tariff.usdPerMillion !== undefined) return tariff.usdPerMillion.prompt / 1_000;
  if (view.provider) return undefined;
  const tps = view.rates?.prefillTps;
  return tps === undefined ? undefined : nominalUsdPer1k(tariff.usdPerHour, tps, tariff.overheadFactor);
}
