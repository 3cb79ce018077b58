import { type Catalogue, type PolicyInput, type Tariff, tenantId } from '@drover/schemas';
import { localModel } from '../../infra/local/src/clusters.ts';
import { priceOf } from '../support/system.ts';

export const tenant = tenantId.parse('faults');
export const modelName = localModel;

export const models: Catalogue = {
  v: 1,
  models: [{ name: modelName, aliases: [], endpoints: ['chat', 'completion'], contextTokens: 2_048 }],
};

/** The default rules; only the breaker is told that faults by the hundred are what we are here for. */
export const policy: PolicyInput = {
  v: 1,
  strategy: 'cost',
  breaker: { consecutiveFailures: 1_000, failureFraction: 1 },
};

/** Nearly the same, so that every cluster gets some of the work when the cheapest is full. */
export const fleetPrices = (clusters: readonly string[]): Record<string, Tariff> =>
  Object.fromEntries(clusters.map((id, index) => [id, priceOf(0.09 + index * 0.001)]));
