import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, watchBucket } from '@drover/runtime';
import { buckets } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { z } from 'zod';
import { connectTo, startHub } from '../support/hub.ts';

test('a watch resolves only when every present value was heard, marks of deleted keys notwithstanding', async () => {
  await using hub = await startHub([]);
  await using nats = await connectTo(hub.url);
  const kv = await new Kvm(nats.js).open(buckets.policy.name);
  for (const key of ['cordon.a', 'cordon.b', 'cordon.c']) await kv.put(key, '"closed"');
  await kv.delete('cordon.b');
  await kv.delete('cordon.a');
  await kv.put('cordon.z', '"closed"');
  const heard: string[] = [];
  const watch = await watchBucket(nats, {
    bucket: buckets.policy.name,
    key: 'cordon.*',
    schema: z.string(),
    onValue: (key) => void heard.push(key),
    log: createLogger('test', 'silent'),
  });
  assert.deepEqual(heard, ['cordon.c', 'cordon.z']);
  watch.stop();
});
