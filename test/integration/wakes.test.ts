import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Nats, readSubject } from '@drover/runtime';
import { clusterId, natsHeaders, streams, subjects, type Wake } from '@drover/schemas';
import { WakeWriter } from '../../apps/scheduler/src/nats/wakes.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub([]);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const nodeOf = (name: string): Wake => ({ v: 1, cluster: clusterId.parse(name), node: 1, sinceMs: 1 });
/** Tokens of what is stored about the nodes of a cluster. */
const tokens = async (cluster: string) =>
  (await readSubject(nats, streams.wakes.name, subjects.wake(cluster, '*'))).map(({ headers }) =>
    Number(headers?.get(natsHeaders.fence)),
  );

test('a leader takes back what it has said', async () => {
  const wake = nodeOf('own');
  const leader = new WakeWriter(nats);
  assert.equal(await leader.write(wake, 1), true);
  assert.equal(await leader.remove(wake.cluster, wake.node, 1, 2), true);
  assert.deepEqual(await tokens('own'), []);
});

test('a leader takes back what the leader before it has said', async () => {
  const wake = nodeOf('inherited');
  await new WakeWriter(nats).write(wake, 1);
  assert.equal(await new WakeWriter(nats).remove(wake.cluster, wake.node, 2, 2), true);
  assert.deepEqual(await tokens('inherited'), []);
});

test('a leader that was deposed removes nothing that its successor has said, whether it had said it before or not', async () => {
  const wake = nodeOf('deposed');
  const [deposed, stranger, successor] = [new WakeWriter(nats), new WakeWriter(nats), new WakeWriter(nats)];
  await deposed.write(wake, 1);
  await successor.write(wake, 2);
  assert.equal(await deposed.remove(wake.cluster, wake.node, 1, 2), false);
  assert.equal(await stranger.remove(wake.cluster, wake.node, 1, 2), false);
  assert.deepEqual(await tokens('deposed'), [2]);
  assert.equal(await deposed.write(wake, 1), false);
});

test('a node whose message somebody else took away can be removed at the second try', async () => {
  const wake = nodeOf('purged');
  const leader = new WakeWriter(nats);
  await leader.write(wake, 1);
  await nats.jsm.streams.purge(streams.wakes.name, { filter: subjects.wake('purged', '*') });
  assert.equal(await leader.remove(wake.cluster, wake.node, 1, 2), false);
  assert.equal(await leader.remove(wake.cluster, wake.node, 1, 2), true);
  assert.deepEqual(await tokens('purged'), []);
});
