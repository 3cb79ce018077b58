import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type OpenReply, type Report, report, requestId } from '@drover/schemas';
import { answerHeaders, overheadMs } from './answer-headers.ts';
import { readiness, readyClusters, type Sightings, see } from './fleet.ts';
import { answerIdOf, endpointOf, freshRequestId, keyedRequestId } from './request-id.ts';
import { unitsFromLastEventId } from './sse.ts';
import { traceparentOf } from './traceparent.ts';

const open: OpenReply = {
  v: 1,
  f: 1,
  k: 'open',
  i: 0,
  mode: 'tokens',
  attempt: 2,
  cluster: 'aws-us-east-1',
  model: 'smol — é',
  modelHash: 'h',
  queueMs: 12.34,
  backendMs: 50,
  usdPer1k: 0.000123456789,
};

test('the overhead is what neither the queue nor the backend took, and never below zero', () => {
  assert.equal(overheadMs(open, 65.34).toFixed(2), '3.00');
  assert.equal(overheadMs(open, 10), 0);
});

test('answer headers are plain ASCII and leave out what is not known', () => {
  assert.deepEqual(answerHeaders(open), {
    'x-drover-cluster': 'aws-us-east-1',
    'x-drover-model': 'smol ? ?',
    'x-drover-attempts': '2',
    'x-drover-queue-ms': '12.3',
    'x-drover-usd-per-1k': '0.000123457',
  });
  assert.equal(answerHeaders(open, 1.25)['x-drover-overhead-ms'], '1.3');
});

test('an id tells its endpoint, and the ids of other producers are chat', () => {
  for (const endpoint of ['chat', 'completion', 'embedding'] as const) {
    assert.equal(endpointOf(freshRequestId(endpoint, 'x')), endpoint);
    assert.equal(endpointOf(keyedRequestId(endpoint, 't', 'k')), endpoint);
  }
  assert.equal(endpointOf('job-7'), 'chat');
  assert.equal(answerIdOf('chat', 'req_chat_x'), 'chatcmpl-x');
  assert.equal(answerIdOf('completion', 'job-7'), 'cmpl-job-7');
});

test('a tenant and a key cannot be cut differently into the same id', () => {
  assert.notEqual(keyedRequestId('chat', 'a', 'bc'), keyedRequestId('chat', 'ab', 'c'));
  assert.ok(requestId.safeParse(keyedRequestId('completion', 't'.repeat(64), 'k'.repeat(255))).success);
});

test('a Last-Event-ID is a number of units or nothing', () => {
  assert.equal(unitsFromLastEventId(undefined), 0);
  assert.equal(unitsFromLastEventId('17'), 17);
  for (const bad of ['-1', '1.5', 'x', '1e3', '9999999999'])
    assert.equal(unitsFromLastEventId(bad), undefined);
});

test('a valid traceparent is kept, any other replaced by a valid one', () => {
  const random = () => new Uint8Array(24).fill(7);
  const given = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  assert.equal(traceparentOf(given, random), given);
  for (const bad of [undefined, '', 'x', given.toUpperCase(), `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`]) {
    const made = traceparentOf(bad, random);
    assert.equal(traceparentOf(made, random), made);
    assert.match(made, /^00-(07){16}-(07){8}-01$/);
  }
});

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

test('readiness names everything that is missing', () => {
  const all = { connected: true, catalogue: true, draining: false, clusters: ['aws'] };
  assert.deepEqual(readiness(all).missing, []);
  assert.equal(readiness({ ...all, connected: false, catalogue: false, clusters: [] }).missing.length, 3);
  assert.ok(!readiness({ ...all, draining: true }).ready);
});
