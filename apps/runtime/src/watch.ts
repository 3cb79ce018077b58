import { parseMessage } from '@drover/schemas';
import { type KvEntry, Kvm } from '@nats-io/kv';
import type { z } from 'zod';
import type { Logger } from './log.ts';
import type { Nats } from './nats.ts';

/**
 * Follows a key (or a pattern of keys) of a bucket: `onValue` gets each valid value, first the present ones.
 * A value that does not parse is logged and refused; the last good one stays in force.
 * Resolves once the present values have been delivered; rejects when there is no such bucket.
 */
export async function watchBucket<T>(
  nats: Nats,
  options: {
    bucket: string;
    key: string;
    schema: z.ZodType<T>;
    onValue: (key: string, value: T, revision: number) => void;
    onDelete?: (key: string) => void;
    log: Logger;
  },
): Promise<{ stop(): void }> {
  const kv = await new Kvm(nats.js).open(options.bucket);
  let isEmpty = true;
  for await (const _ of await kv.keys(options.key)) isEmpty = false;
  const watcher = await kv.watch({ key: options.key });
  const present = Promise.withResolvers<void>();
  if (isEmpty) present.resolve();
  void (async () => {
    for await (const entry of watcher) {
      apply(entry);
      // Marks of deleted keys are delivered among the present values; only the server knows which is the last.
      if (entry.delta === 0) present.resolve();
    }
  })();
  await present.promise;
  return { stop: () => watcher.stop() };

  function apply(entry: KvEntry): void {
    if (entry.operation !== 'PUT') {
      options.onDelete?.(entry.key);
      return;
    }
    const parsed = parseMessage(options.schema, entry.value);
    if (parsed.ok) options.onValue(entry.key, parsed.value, entry.revision);
    else
      options.log.error(
        { bucket: options.bucket, key: entry.key, problem: parsed.problem },
        'bad value refused',
      );
  }
}
