import { type Logger, type Nats, watchBucket } from '@drover/runtime';
import { buckets, type Profile, profile } from '@drover/schemas';

/** Hears what is known of every cluster; resolves once the present profiles have been heard. */
export const watchProfiles = (
  nats: Nats,
  onProfile: (profile: Profile) => void,
  log: Logger,
): Promise<{ stop(): void }> =>
  watchBucket(nats, {
    bucket: buckets.profiles.name,
    key: '>',
    schema: profile,
    onValue: (_key, value) => onProfile(value),
    log,
  });

/** The latest word counts: it is a measurement, not a decision. */
export async function storeProfile(nats: Nats, value: Profile): Promise<void> {
  await nats.js.publish(`$KV.${buckets.profiles.name}.${value.cluster}`, JSON.stringify(value));
}
