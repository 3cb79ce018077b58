import { type Logger, type Nats, untilThere, type WatchOptions, watchBucket } from '@drover/runtime';
import {
  buckets,
  type Catalogue,
  type ClusterId,
  type Cordon,
  catalogue,
  clusterId,
  cordon,
  type Experiment,
  experiment,
  type Policy,
  policy,
  policyKeys,
  type Tariff,
  tariff,
} from '@drover/schemas';

export type SettingsListener = {
  onPolicy(policy: { value: Policy; revision: number } | undefined): void;
  onExperiment(experiment: { value: Experiment; revision: number } | undefined): void;
  onCatalogue(catalogue: Catalogue | undefined): void;
  onTariff(cluster: ClusterId, tariff: Tariff | undefined): void;
  onCordon(cluster: ClusterId, cordon: Cordon | undefined): void;
};

/**
 * Follows policy, catalogue, cordons and prices; undefined when one is deleted. A bad value is logged and refused, the last good
 * one stays. Resolves once the present values have been heard, however long JetStream is away. @throws when a bucket does not exist
 */
export async function watchSettings(
  nats: Nats,
  listener: SettingsListener,
  log: Logger,
): Promise<{ stop(): void }> {
  const follow = <T>(options: WatchOptions<T>) =>
    untilThere(nats, log, `${options.bucket} ${options.key}`, () => watchBucket(nats, options));
  const watches = await Promise.all([
    follow({
      bucket: buckets.policy.name,
      key: policyKeys.active,
      schema: policy,
      onValue: (_, value, revision) => listener.onPolicy({ value, revision }),
      onDelete: () => listener.onPolicy(undefined),
      log,
    }),
    follow({
      bucket: buckets.policy.name,
      key: policyKeys.experiment,
      schema: experiment,
      onValue: (_, value, revision) => listener.onExperiment({ value, revision }),
      onDelete: () => listener.onExperiment(undefined),
      log,
    }),
    follow({
      bucket: buckets.policy.name,
      key: policyKeys.models,
      schema: catalogue,
      onValue: (_, value) => listener.onCatalogue(value),
      onDelete: () => listener.onCatalogue(undefined),
      log,
    }),
    follow({
      bucket: buckets.policy.name,
      key: policyKeys.cordon('*'),
      schema: cordon,
      onValue: (key, value) => onCordon(key, value),
      onDelete: (key) => onCordon(key, undefined),
      log,
    }),
    follow({
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
