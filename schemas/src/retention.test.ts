import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  defaultRetention,
  limitsOf,
  type Retention,
  retentionIn,
  retentionMetadata,
  retentionProblems,
  withRetention,
} from './retention.ts';
import { streams } from './streams.ts';

const hourMs = 3_600_000;
const codes = (change: Partial<Retention>, deadlineMaxMs = hourMs) =>
  retentionProblems({ ...defaultRetention, ...change }, deadlineMaxMs).map(({ code }) => code);

test('the default retention breaks nothing, and is what the streams say', () => {
  assert.deepEqual(codes({}), []);
  for (const stream of Object.values(streams)) {
    const { metadata: _noted, ...kept } = withRetention(stream, defaultRetention);
    assert.deepEqual(kept, { ...stream });
  }
});

test('every stream that a retention names exists', () => {
  const names: string[] = Object.values(streams).map(({ name }) => name);
  assert.deepEqual(
    Object.keys(limitsOf(defaultRetention)).filter((name) => !names.includes(name)),
    [],
  );
});

test('a retention that would break a promise is refused with the reason', () => {
  assert.deepEqual(codes({ eventsMs: 2 * hourMs, repliesMs: 3 * hourMs }), ['events_shorter_than_replies']);
  assert.deepEqual(codes({ eventsMs: 2 * hourMs }, 2 * hourMs), ['events_shorter_than_deadline']);
  assert.deepEqual(codes({ decisionsMs: hourMs }), ['decisions_shorter_than_deadline']);
  assert.deepEqual(codes({ ledgerMs: 30 * 24 * hourMs }), ['ledger_shorter_than_month']);
  assert.deepEqual(codes({ repliesBytes: 1 }), ['replies_too_small']);
});

test('what bootstrap leaves on a stream is read back, and anything else is the default', () => {
  const chosen = { ...defaultRetention, repliesMs: 5 };
  assert.deepEqual(retentionIn({ other: 'x', ...retentionMetadata(chosen) }), chosen);
  for (const metadata of [
    undefined,
    {},
    { 'drover.retention': '{' },
    { 'drover.retention': '{"repliesMs":1}' },
  ])
    assert.deepEqual(retentionIn(metadata), defaultRetention);
});
