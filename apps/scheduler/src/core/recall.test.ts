import assert from 'node:assert/strict';
import test from 'node:test';
import { agentId, requestId, tenantId } from '@drover/schemas';
import { aReport, aView, cluster } from '../../testing/builders.ts';
import { type Fleet, withDeparture, withReport } from './fleet.ts';
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
  const jobs = [job('waits', 'assigned'), job('runs', 'running', 1_000)];
  for (const phase of ['draining', 'down'] as const)
    assert.deepEqual(found(jobs, { phase }), [['waits', phase]]);
});

test('a cluster with more jobs than slots gives up the unclaimed ones that came last', () => {
  const jobs = [
    job('runs', 'running', 1_000),
    job('first', 'assigned', 5_000),
    job('last', 'assigned', 4_000),
  ];
  assert.deepEqual(found(jobs, { slots: 2 }), [['last', 'stranded']]);
  assert.deepEqual(found(jobs, { slots: 2 }, new Map(), 1), []);
});

const lists = (id: string, agent: string) =>
  aReport({ agent, inFlight: [{ id, attempt: 1, outputTokens: 3 }] });

test('a claimed job that no report lists any more is lost', () => {
  const fleet = withReport(new Map(), lists('r1', 'a1'), nowMs);
  const jobs = [job('r1', 'running', 4_000), job('r2', 'running', 4_000), job('r3', 'running', 1_400)];
  assert.deepEqual(found(jobs, {}, fleet), [['r2', 'lost']]);
});

test('the jobs of an agent that fell silent are recalled while another one of its cluster reports', () => {
  const silent = withReport(new Map(), lists('r1', 'a1'), nowMs - 1_300);
  const fleet = withReport(silent, lists('r2', 'a2'), nowMs - 1_200);
  const jobs = [job('r1', 'running', 5_000), job('r2', 'running', 5_000)];
  assert.deepEqual(found(jobs, { reportAgeMs: 1_200 }, fleet), [['r1', 'silent']]);
});

test('a job that waits at a cluster which was not heard since it was assigned is recalled', () => {
  const jobs = [job('r1', 'assigned', 1_300)];
  assert.deepEqual(found(jobs, { reportAgeMs: 1_400 }), [['r1', 'silent']]);
  assert.deepEqual(found(jobs, { reportAgeMs: 1_200 }), []);
});

test('a job that nobody has taken although a slot is free is recalled, unless an agent lists it', () => {
  const jobs = [job('r1', 'assigned', 2_100), job('r2', 'assigned', 1_900)];
  assert.deepEqual(found(jobs), [['r1', 'stranded']]);
  assert.deepEqual(found(jobs, {}, withReport(new Map(), lists('r1', 'a1'), nowMs)), []);
});

test('jobs of a sound cluster stay', () => {
  const young = 1_000;
  const jobs = [job('r1', 'assigned', young), job('r2', 'running', young), job('r3', 'reserved', 9_000)];
  assert.deepEqual(found(jobs), []);
});

const leave = (fleet: Fleet, agent: string, atMs = nowMs) =>
  withDeparture(fleet, aws, agentId.parse(agent), atMs, nowMs);

test('what an agent ran whose connection has ended is recalled at once, and what others run is not', () => {
  const two = withReport(withReport(new Map(), lists('r1', 'a1'), nowMs - 50), lists('r2', 'a2'), nowMs - 50);
  const jobs = [job('r1', 'running', 60), job('r2', 'running', 60)];
  assert.deepEqual(found(jobs, {}, two), []);
  assert.deepEqual(found(jobs, {}, leave(two, 'a1')), [['r1', 'gone']]);
});

test('an agent that was heard after its connection had ended is not gone', () => {
  const fleet = withReport(new Map(), lists('r1', 'a1'), nowMs - 50);
  assert.deepEqual(found([job('r1', 'running', 500)], {}, leave(fleet, 'a1', nowMs - 200)), []);
  const again = withReport(leave(fleet, 'a1'), { ...lists('r1', 'a1'), seq: 2 }, nowMs);
  assert.deepEqual(found([job('r1', 'running', 500)], {}, again), []);
});

test('a job that an agent may have had in its hands when it left is recalled while the others had a slot for it', () => {
  const fleet = leave(withReport(new Map(), aReport({ agent: 'a1' }), nowMs - 50), 'a1');
  const jobs = [job('r1', 'assigned', 200), job('r2', 'assigned', 50), job('r3', 'running', 200)];
  assert.deepEqual(found(jobs, { slots: 4 }, fleet), [['r1', 'stranded']]);
  assert.deepEqual(found(jobs, { slots: 2 }, fleet, 1), []);
});
