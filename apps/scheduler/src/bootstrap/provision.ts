import { ensureBucket, ensureConsumer, ensureStream, type Nats } from '@drover/runtime';
import {
  buckets,
  consumersFor,
  defaultRetention,
  type Retention,
  streams,
  withRetention,
} from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import type { Seed } from './seeds.ts';

/**
 * Makes every stream, consumer and bucket that a deployment with these clusters needs, or brings existing ones to their
 * definition, with the retention that is chosen; then puts the seeds whose key is absent. Safe to run again at any time.
 * What a shorter retention no longer keeps, the server drops at once. Returns the keys that were put.
 */
export async function provision(
  nats: Nats,
  options: {
    clusters: readonly string[];
    replicas: number;
    seeds: readonly Seed[];
    retention?: Retention;
  },
): Promise<string[]> {
  const { clusters, replicas, seeds, retention = defaultRetention } = options;
  for (const stream of Object.values(streams))
    await ensureStream(nats.jsm, withRetention(stream, retention), replicas);
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
