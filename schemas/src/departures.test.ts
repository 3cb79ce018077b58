import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentConnection, agentGone, hubPlace } from './departures.ts';
import { agentId, clusterId, gpuCluster } from './names.ts';

const who = { cluster: clusterId.parse('aws'), agent: agentId.parse('a1') };
const departure = (change: { name?: string; kind?: string; reason?: string } = {}) => {
  const {
    name = agentConnection(who.cluster, who.agent),
    kind = 'Client',
    reason = 'Client Closed',
  } = change;
  return { type: 'io.nats.server.advisory.v1.client_disconnect', client: { kind, name }, reason };
};

test('a connection that its agent, or its death, has ended tells which agent is gone', () => {
  for (const reason of ['Client Closed', 'Read Error', 'Write Error'])
    assert.deepEqual(agentGone(hubPlace, departure({ reason })), who);
  assert.deepEqual(agentGone('aws', departure()), who);
});

test('a server that ends connections itself, other connections and other messages tell of no agent', () => {
  for (const reason of ['Server Shutdown', 'Stale Connection', 'Slow Consumer (Pending Bytes)'])
    assert.equal(agentGone(hubPlace, departure({ reason })), undefined);
  for (const name of ['agent/aws', 'agent/aws/a1/x', 'agent/aws/a.1', 'scheduler-s1', 'x/aws/a1'])
    assert.equal(agentGone(hubPlace, departure({ name })), undefined);
  assert.equal(agentGone(hubPlace, departure({ kind: 'Leafnode' })), undefined);
  for (const other of [null, {}, 'gone']) assert.equal(agentGone(hubPlace, other), undefined);
});

test('a leaf speaks for the accelerated nodes of its cluster too', () => {
  const cluster = gpuCluster(who.cluster);
  const name = agentConnection(cluster, who.agent);
  assert.deepEqual(agentGone('aws', departure({ name })), { ...who, cluster });
  assert.equal(agentGone('gcp', departure({ name })), undefined);
  assert.equal(agentGone('aws-gpu', departure()), undefined);
});

test('a leaf cannot declare the agents of another cluster gone', () => {
  assert.equal(agentGone('gcp', departure()), undefined);
});
