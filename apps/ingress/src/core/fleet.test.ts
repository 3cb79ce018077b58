import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Report, report } from '@drover/schemas';
import { clusterStatuses, readiness, readyClusters, type Sightings, see } from './fleet.ts';

const reported = (cluster: string, phase: Report['phase']): Report =>
  report.parse({
    v: 1,
    cluster,
    agent: 'a1',
    seq: 1,
    startedAtMs: 0,
    sentAtMs: 0,
    phase,
    slots: 1,
    inFlight: [],
  });

test('a cluster is ready while an agent said so recently', () => {
  const sightings: Sightings = new Map();
  see(sightings, reported('aws', 'ready'), 0);
  see(sightings, reported('gcp', 'draining'), 0);
  assert.deepEqual(readyClusters(sightings, 3_000, 3_000), ['aws']);
  assert.deepEqual(readyClusters(sightings, 3_001, 3_000), []);
  assert.equal(sightings.size, 0);
});

test('the status of clusters counts what was heard lately, and asking changes nothing', () => {
  const sightings: Sightings = new Map();
  see(sightings, reported('gcp', 'ready'), 0);
  see(sightings, reported('aws', 'down'), 2_000);
  const asked = () => clusterStatuses(sightings, 3_000, 3_000);
  const rest = { models: [], agents: 1, busy: 0 };
  assert.deepEqual(asked(), [
    { cluster: 'aws', ready: false, slots: 0, heardMsAgo: 1_000, ...rest },
    { cluster: 'gcp', ready: true, slots: 1, heardMsAgo: 3_000, ...rest },
  ]);
  assert.deepEqual(asked(), asked());
  assert.deepEqual(
    clusterStatuses(sightings, 3_001, 3_000).map(({ cluster }) => cluster),
    ['aws'],
  );
  assert.equal(sightings.size, 2, 'it forgets nothing either');
});

test('readiness names everything that is missing', () => {
  const all = { connected: true, catalogue: true, draining: false, scaling: false, clusters: ['aws'] };
  assert.deepEqual(readiness(all).missing, []);
  assert.equal(readiness({ ...all, connected: false, catalogue: false, clusters: [] }).missing.length, 3);
  assert.ok(!readiness({ ...all, draining: true }).ready);
  assert.ok(readiness({ ...all, clusters: [], scaling: true }).ready, 'a cluster at zero can be woken');
});
