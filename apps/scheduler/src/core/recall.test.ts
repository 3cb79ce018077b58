import assert from 'node:assert/strict';
import test from 'node:test';
import { requestId, tenantId } from '@drover/schemas';
import { aReport, aView, cluster } from '../../testing/builders.ts';
import { type Fleet, withReport } from './fleet.ts';
import type { Assignment } from './ledger.ts';
import { recalls } from './recall.ts';
import type { ClusterView } from './types.ts';

const aws = cluster('aws');
const nowMs = 10_000;
const job = (name: string, state: Assignment['state'], ageMs = 2_000): Assignment => ({
  id: requestId.parse(name),
  tenant: tenantId.parse('t1'),
  cluster: aws,
  attempt: 1,
  state,
  sinceMs: nowMs - ageMs,
});
const found = (
  jobs: Assignment[],
  change: Partial<ClusterView> = {},
  fleet: Fleet = new Map(),
  bufferSlots = 0,
) =>
  recalls(
    jobs,
    fleet,
    () => aView('aws', change),
    () => jobs.length,
    bufferSlots,
    nowMs,
  ).map(({ assignment, reason }) => [assignment.id, reason]);

test('a released job is recalled at once', () => {
  assert.deepEqual(found([job('r1', 'released', 0)]), [['r1', 'released']]);
});

test('every job of a silent cluster is recalled after a second', () => {
  const jobs = [job('young', 'assigned', 900), job('waits', 'assigned'), job('runs', 'running')];
  assert.deepEqual(found(jobs, { phase: 'silent' }), [
    ['waits', 'silent'],
    ['runs', 'silent'],
  ]);
});

test('only unclaimed jobs leave a draining or broken cluster', () => {
  const jobs = [job('waits', 'assigned'), job('runs', 'running')];
  for (const phase of ['draining', 'down'] as const)
    assert.deepEqual(found(jobs, { phase }), [['waits', phase]]);
});

test('a cluster with more jobs than slots gives up the unclaimed ones that came last', () => {
  const jobs = [job('runs', 'running'), job('first', 'assigned', 5_000), job('last', 'assigned', 4_000)];
  assert.deepEqual(found(jobs, { slots: 2 }), [['last', 'stranded']]);
  assert.deepEqual(found(jobs, { slots: 2 }, new Map(), 1), []);
});

test('a claimed job that no report lists any more is lost', () => {
  const listed = aReport({ inFlight: [{ id: 'r1', attempt: 1, outputTokens: 3 }] });
  const fleet = withReport(new Map(), listed, nowMs);
  const jobs = [job('r1', 'running', 4_000), job('r2', 'running', 4_000), job('r3', 'running', 2_500)];
  assert.deepEqual(found(jobs, {}, fleet), [['r2', 'lost']]);
});

test('jobs of a sound cluster stay', () => {
  assert.deepEqual(found([job('r1', 'assigned'), job('r2', 'running'), job('r3', 'reserved')]), []);
});
