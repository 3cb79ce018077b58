import { type Logger, type Nats, watchBucket } from '@drover/runtime';
import {
  buckets,
  type Catalogue,
  type ClusterId,
  type Cordon,
  catalogue,
  clusterId,
  cordon,
  type Policy,
  policy,
  policyKeys,
  type Tariff,
  tariff,
} from '@drover/schemas';

export type SettingsListener = {
  onPolicy(policy: { value: Policy; revision: number } | undefined): void;
  onCatalogue(catalogue: Catalogue | undefined): void;
  onTariff(cluster: ClusterId, tariff: Tariff | undefined): void;
  onCordon(cluster: ClusterId, cordon: Cordon | undefined): void;
};

/**
 * Follows policy, catalogue, cordons and prices; undefined when one is deleted. A bad value is logged and refused, the last good
 * one stays. Resolves once the present values have been heard. @throws when a bucket does not exist
 */
export async function watchSettings(
  nats: Nats,
  listener: SettingsListener,
  log: Logger,
): Promise<{ stop(): void }> {
  const watches = await Promise.all([
    watchBucket(nats, {
      bucket: buckets.policy.name,
      key: policyKeys.active,
      schema: policy,
      onValue: (_, value, revision) => listener.onPolicy({ value, revision }),
      onDelete: () => listener.onPolicy(undefined),
      log,
    }),
    watchBucket(nats, {
      bucket: buckets.policy.name,
      key: policyKeys.models,
      schema: catalogue,
      onValue: (_, value) => listener.onCatalogue(value),
      onDelete: () => listener.onCatalogue(undefined),
      log,
    }),
    watchBucket(nats, {
      bucket: buckets.policy.name,
      key: policyKeys.cordon('*'),
      schema: cordon,
      onValue: (key, value) => onCordon(key, value),
      onDelete: (key) => onCordon(key, undefined),
      log,
    }),
    watchBucket(nats, {
      bucket: buckets.prices.name,
      key: '>',
      schema: tariff,
      onValue: (key, value) => onPrice(key, value),
      onDelete: (key) => onPrice(key, undefined),
      log,
    }),
  ]);
  return { stop: () => watches.forEach((watch) => void watch.stop()) };

  function onCordon(key: string, value: Cordon | undefined): void {
    const cluster = clusterId.safeParse(key.slice(policyKeys.cordon('').length));
    if (cluster.success) listener.onCordon(cluster.data, value);
    else log.error({ key }, 'cordon of no cluster refused');
  }

  function onPrice(key: string, value: Tariff | undefined): void {
    const cluster = clusterId.safeParse(key);
    if (cluster.success) listener.onTariff(cluster.data, value);
    else log.error({ key }, 'price of no cluster refused');
  }
}
