import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLogger, type Nats, watchBucket } from '@drover/runtime';
import { buckets } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { z } from 'zod';
import { eventually } from '../../apps/agent/testing/bed.ts';
import { connectTo, startHub } from '../support/hub.ts';

const log = createLogger('test', 'silent');
const stream = `KV_${buckets.policy.name}`;
const watchers = fileURLToPath(new URL('../support/bucket-watchers.ts', import.meta.url));

/** Watches the cordons, and notes what is said of them: a value, or `-` for one that is gone. */
async function watchCordons(nats: Nats) {
  const heard: string[] = [];
  const watch = await watchBucket(nats, {
    bucket: buckets.policy.name,
    key: 'cordon.*',
    schema: z.string(),
    onValue: (key, value) => void heard.push(`${key}=${value}`),
    onDelete: (key) => void heard.push(`${key}-`),
    log,
  });
  return { heard, [Symbol.dispose]: () => watch.stop() };
}

test('a watch resolves only when every present value was heard, marks of deleted keys notwithstanding', async () => {
  await using hub = await startHub([]);
  await using nats = await connectTo(hub.url);
  const kv = await new Kvm(nats.js).open(buckets.policy.name);
  for (const key of ['cordon.a', 'cordon.b', 'cordon.c']) await kv.put(key, '"closed"');
  await kv.delete('cordon.b');
  await kv.delete('cordon.a');
  await kv.put('cordon.z', '"closed"');
  using watch = await watchCordons(nats);
  assert.deepEqual(watch.heard, ['cordon.c=closed', 'cordon.z=closed']);
  await kv.put('cordon.c', '"still"');
  await kv.delete('cordon.z');
  await eventually(() => assert.deepEqual(watch.heard.slice(2), ['cordon.c=still', 'cordon.z-']));
});

test('after a restart of the server a watch hears what was changed meanwhile, and nothing twice', async () => {
  await using hub = await startHub([]);
  await using nats = await connectTo(hub.url);
  await using other = await connectTo(hub.url);
  const kv = await new Kvm(nats.js).open(buckets.policy.name);
  for (const key of ['cordon.a', 'cordon.b', 'cordon.c']) await kv.put(key, '"1"');
  using watch = await watchCordons(nats);
  assert.equal(watch.heard.length, 3);
  await hub.restart();
  await eventually(() => assert.ok(other.connected()));
  const again = await new Kvm(other.js).open(buckets.policy.name);
  await eventually(async () => void (await again.put('cordon.a', '"2"')));
  await again.delete('cordon.b');
  await again.put('cordon.d', '"1"');
  await eventually(() =>
    assert.deepEqual(watch.heard.slice(3).toSorted(), ['cordon.a=2', 'cordon.b-', 'cordon.d=1']),
  );
});

test('a watch whose consumer the server has dropped, and a key that left no mark, costs it nothing', async () => {
  await using hub = await startHub([]);
  await using nats = await connectTo(hub.url);
  const kv = await new Kvm(nats.js).open(buckets.policy.name);
  for (const key of ['cordon.a', 'cordon.b']) await kv.put(key, '"1"');
  using watch = await watchCordons(nats);
  for await (const { name } of nats.jsm.consumers.list(stream)) await nats.jsm.consumers.delete(stream, name);
  await nats.jsm.streams.purge(stream, { filter: `$KV.${buckets.policy.name}.cordon.a` });
  await eventually(() => assert.deepEqual(watch.heard.slice(2), ['cordon.a-']), 15_000);
  await kv.put('cordon.b', '"2"');
  await eventually(() => assert.deepEqual(watch.heard.slice(3), ['cordon.b=2']));
});

test('fifty watchers whose process was killed leave nothing on the server after a quarter of a minute', async () => {
  await using hub = await startHub([]);
  await using nats = await connectTo(hub.url);
  const count = async () => (await nats.jsm.streams.info(stream)).state.consumer_count;
  const child = spawn(process.execPath, [watchers, hub.url, '50'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    assert.equal(await count(), 50);
  } finally {
    child.kill('SIGKILL');
  }
  await eventually(async () => assert.equal(await count(), 0), 15_000);
});
