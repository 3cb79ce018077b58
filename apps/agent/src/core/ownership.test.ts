import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Event, event, job, maxAttempts } from '@drover/schemas';
import { judge } from './ownership.ts';

const jobOf = (attempt: number, cluster = 'here') =>
  job.parse({
    v: 1,
    cluster,
    attempt,
    queueMs: 0,
    request: {
      v: 1,
      id: 'r',
      tenant: 't',
      endpoint: 'embedding',
      submittedAtMs: 0,
      deadlineAtMs: 1,
      body: { model: 'm', input: 'x' },
    },
  });
const last = (value: Record<string, unknown>, writer = 'here') => ({
  seq: 9,
  writer,
  event: event.parse({ v: 1, atMs: 0, ...value }) satisfies Event,
});
const running = (attempt: number) => ({ state: 'running', agent: 'a', attempt });
const released = (attempt: number) => ({
  state: 'released',
  agent: 'a',
  attempt,
  reason: 'draining',
  message: 'bye',
});

test('the first claim expects no event, and nothing was said before', () => {
  assert.deepEqual(judge(jobOf(1), 4, null), { kind: 'claim', attempt: 1, expect: 0, prior: false });
});

test('a redelivered job is claimed on top of its last owner, and counts one attempt more', () => {
  const expected = { kind: 'claim', attempt: 3, expect: 9, prior: true };
  assert.deepEqual(judge(jobOf(1), 4, last(running(2))), expected);
  assert.deepEqual(judge(jobOf(2), 4, last(released(2), 'there')), expected);
});

test('an ended request and a job that was moved elsewhere are dropped', () => {
  const ended = { state: 'ended', attempt: 1, outcome: { status: 'cancelled' } };
  assert.deepEqual(judge(jobOf(1), 4, last(ended)), { kind: 'drop', why: 'ended' });
  const moved = { ...running(2), job: 5 };
  assert.deepEqual(judge(jobOf(1), 4, last(moved, 'there')), { kind: 'drop', why: 'superseded' });
});

test('what was made of an earlier job is taken over, however often it was claimed', () => {
  const expected = { kind: 'claim', attempt: 4, expect: 9, prior: true };
  for (const event of [running(3), released(3)]) {
    assert.deepEqual(judge(jobOf(2), 4, last({ ...event, job: 3 }, 'there')), expected);
    assert.deepEqual(judge(jobOf(2), 4, last({ ...event, job: 4 })), expected);
    assert.deepEqual(judge(jobOf(2), 4, last(event, 'there')), expected, 'nobody knows of which job');
  }
});

test('no request is claimed more often than allowed, whoever counts', () => {
  assert.equal(judge(jobOf(1), 4, last(running(maxAttempts - 1))).kind, 'claim');
  assert.equal(judge(jobOf(1), 4, last(running(maxAttempts))).kind, 'exhausted');
  const verdict = judge(jobOf(maxAttempts + 1), 4, last(released(maxAttempts), 'there'));
  assert.ok(verdict.kind === 'exhausted' && verdict.message.includes('bye'));
});

test('what the limit of a provider sent back to the same cluster was no attempt; to another one it was', () => {
  const limited = { ...released(maxAttempts), reason: 'limited' };
  const again = judge(jobOf(1), 4, last(limited));
  assert.ok(again.kind === 'claim' && again.attempt === maxAttempts && again.prior);
  assert.equal(judge(jobOf(maxAttempts), 4, last(limited, 'there')).kind, 'exhausted');
});
