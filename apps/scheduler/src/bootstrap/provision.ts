import { ensureBucket, ensureConsumer, ensureStream, type Nats } from '@drover/runtime';
import { buckets, consumersFor, streams } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import type { Seed } from './seeds.ts';

/**
 * Makes every stream, consumer and bucket that a deployment with these clusters needs, or brings existing ones to their
 * definition; then puts the seeds whose key is absent. Safe to run again at any time.
 * Returns the keys that were put.
 */
export async function provision(
  nats: Nats,
  options: { clusters: readonly string[]; replicas: number; seeds: readonly Seed[] },
): Promise<string[]> {
  const { clusters, replicas, seeds } = options;
  for (const stream of Object.values(streams)) await ensureStream(nats.jsm, stream, replicas);
  for (const consumer of consumersFor(clusters)) await ensureConsumer(nats.jsm, consumer);
  for (const bucket of Object.values(buckets)) await ensureBucket(nats.js, bucket, replicas);
  const put: string[] = [];
  for (const { bucket, key, json } of seeds) {
    const kv = await new Kvm(nats.js).open(bucket);
    if ((await kv.get(key)) !== null) continue;
    await kv.create(key, json);
    put.push(`${bucket}/${key}`);
  }
  return put;
}
