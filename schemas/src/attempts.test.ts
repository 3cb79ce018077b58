import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { attemptRecord, attemptsHeader, attemptsOf, readAttemptsHeader } from './attempts.ts';
import { agentId } from './names.ts';

const running = (writer: string, attempt: number, atMs: number) => ({
  writer,
  event: { v: 1, state: 'running', agent: agentId.parse(`at-${writer}`), attempt, atMs } as const,
});
const released = (writer: string, attempt: number, atMs: number, message: string) => ({
  writer,
  event: {
    v: 1,
    state: 'released',
    agent: agentId.parse(`at-${writer}`),
    attempt,
    atMs,
    reason: 'backend-failed',
    message,
  } as const,
});

test('every attempt is listed once, with its reason when its agent gave one', () => {
  const attempts = attemptsOf([
    running('aws', 1, 10),
    released('aws', 1, 20, 'exploded'),
    running('gcp', 2, 30),
    running('azure', 3, 40),
  ]);
  assert.deepEqual(
    attempts.map(({ attempt, cluster, reason, startedAtMs, endedAtMs }) => [
      attempt,
      cluster,
      reason,
      startedAtMs,
      endedAtMs,
    ]),
    [
      [1, 'aws', 'backend-failed', 10, 20],
      [2, 'gcp', 'lost', 30, undefined],
      [3, 'azure', 'lost', 40, undefined],
    ],
  );
});

test('the attempt that brought the outcome is no failure, and an end without an attempt hides none', () => {
  const ended = (writer: string, attempt: number) => ({
    writer,
    event: { v: 1, state: 'ended', attempt, atMs: 50, outcome: { status: 'cancelled', units: 0 } } as const,
  });
  assert.deepEqual(attemptsOf([running('aws', 1, 10), ended('aws', 1)]), []);
  assert.equal(attemptsOf([running('aws', 1, 10), ended('aws', 2)]).length, 1);
  assert.equal(attemptsOf([running('aws', 1, 10), ended('scheduler', 1)]).length, 1);
});

test('attempts survive the header whatever a backend said, on one line of ASCII', () => {
  const record = fc.record(
    {
      attempt: fc.integer({ min: 1, max: 9 }),
      cluster: fc.constant('aws'),
      agent: fc.string(),
      startedAtMs: fc.nat(),
      reason: fc.constantFrom(...attemptRecord.shape.reason.options),
      message: fc.string({ unit: 'binary', maxLength: 50 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(record, { maxLength: 16 }), (attempts) => {
      const header = attemptsHeader(attempts);
      assert.match(header, /^[\x20-\x7e]*$/);
      assert.deepEqual(readAttemptsHeader(header), attempts);
    }),
  );
});

test('a header that is not ours gives no attempts', () => {
  for (const header of [undefined, '', 'nonsense', '[{"attempt":0}]']) {
    assert.deepEqual(readAttemptsHeader(header), []);
  }
});
