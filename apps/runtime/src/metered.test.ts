import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentId, type Portion, type Reply } from '@drover/schemas';
import type { StoredEvent } from './event-log.ts';
import { meteredIn } from './metered.ts';

const agent = agentId.parse('a');
const minuteMs = 60_000;
const running = (seq: number, atMs: number): StoredEvent => ({
  seq,
  writer: 'aws',
  event: { v: 1, state: 'running', agent, attempt: seq, atMs },
});
const released = (seq: number, atMs: number, metered?: Portion[]): StoredEvent => ({
  seq,
  writer: 'aws',
  event: {
    v: 1,
    state: 'released',
    agent,
    attempt: seq,
    atMs,
    reason: 'draining',
    message: '',
    ...(metered === undefined ? {} : { metered }),
  },
});
const portion: Portion = { cluster: 'aws', attempt: 1, promptTokens: 7, completionTokens: 3 };
const open = (f: number, i: number, earlier?: Portion[]): Reply => ({
  v: 1,
  k: 'open',
  f,
  i,
  mode: 'tokens',
  attempt: f,
  cluster: 'aws',
  model: 'm',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
  promptTokens: 7,
  ...(earlier === undefined ? {} : { earlier }),
});
const tokens = (f: number, i: number, count: number): Reply => ({
  v: 1,
  k: 'tokens',
  f,
  i,
  ids: Array.from({ length: count }, (_, at) => i + at),
  t: Array.from({ length: count }, () => 'x'),
});

test('what is stored is metered, whoever said it', () => {
  assert.deepEqual(meteredIn([running(1, 0)], [open(1, 0), tokens(1, 0, 3)], 30 * minuteMs), [portion]);
  const both = meteredIn(
    [running(1, 0), running(2, 0)],
    [open(1, 0), tokens(1, 0, 3), open(2, 3, [portion]), tokens(2, 3, 2)],
    minuteMs,
  );
  assert.deepEqual(
    both?.map((one) => one.completionTokens),
    [3, 2],
  );
});

test('silence is nothing said while it would still be stored, and unknown afterwards', () => {
  assert.deepEqual(meteredIn([running(1, 0)], [], minuteMs), []);
  assert.equal(meteredIn([running(1, 0)], [], 10 * minuteMs), undefined);
  assert.equal(meteredIn([running(1, 0), running(2, 9 * minuteMs)], [], 10 * minuteMs), undefined);
});

test('what an owner wrote down when it gave the request back outlives the replies', () => {
  const events = [running(1, 0), released(2, minuteMs, [portion]), running(3, 30 * minuteMs)];
  assert.deepEqual(meteredIn(events, [], 31 * minuteMs), [portion]);
  assert.equal(meteredIn(events, [], 60 * minuteMs), undefined);
});

test('a reply with a hole has no account, until its owner has said it again', () => {
  const holed = [open(1, 0), tokens(1, 0, 2), tokens(1, 5, 2)];
  assert.equal(meteredIn([running(1, 0)], holed, minuteMs), undefined);
  assert.equal(meteredIn([running(1, 0)], [tokens(1, 5, 2)], minuteMs), undefined);
  const again = [...holed, { v: 1, k: 'claim', f: 1 } as const, open(1, 0), tokens(1, 0, 7)];
  assert.equal(meteredIn([running(1, 0)], again, minuteMs)?.[0]?.completionTokens, 7);
});
