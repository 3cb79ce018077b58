import { connectNats, createLogger } from '@drover/runtime';
import { buckets, parseMessage, tariff } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import type { System } from './system.ts';

/** What a node of each cluster costs now, in USD per hour, by the bucket: a seed only counts where nothing else was put. */
export async function currentPrices(
  system: System,
  clusters: readonly string[],
): Promise<Map<string, number>> {
  const admin = system.credential('admin');
  const { nc, js } = await connectNats(
    'local',
    {
      NATS_URL: system.natsUrl,
      NATS_INBOX_PREFIX: admin?.inboxPrefix ?? '_INBOX',
      ...(admin === undefined ? {} : { NATS_NKEY_FILE: admin.nkeyFile }),
      LOG_LEVEL: 'fatal',
    },
    createLogger('local', 'fatal'),
  );
  try {
    const bucket = await new Kvm(js).open(buckets.prices.name, { allow_direct: true });
    const prices = new Map<string, number>();
    for (const cluster of clusters) {
      const entry = await bucket.get(cluster);
      const parsed = entry ? parseMessage(tariff, entry.value) : undefined;
      if (parsed?.ok) prices.set(cluster, parsed.value.usdPerHour);
    }
    return prices;
  } finally {
    await nc.close();
  }
}
