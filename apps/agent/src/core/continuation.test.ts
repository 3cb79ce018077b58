import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reply, Unit } from '@drover/schemas';
import fc from 'fast-check';
import { continuationOf } from './continuation.ts';
import { messagesOf } from './messages.ts';

const mine = { mode: 'tokens', modelHash: 'h' } as const;
const open = (f: number, i: number, change: Partial<Extract<Reply, { k: 'open' }>> = {}): Reply => ({
  v: 1,
  k: 'open',
  f,
  i,
  mode: 'tokens',
  attempt: 1,
  cluster: 'c',
  model: 'm',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
  promptTokens: 0,
  ...change,
});
const saidBefore = (completionTokens: number) => [
  { cluster: 'c', attempt: 1, promptTokens: 0, completionTokens },
];
const units = (count: number): Unit[] =>
  Array.from({ length: count }, (_, id) => ({ k: 'token', id, t: ` ${id}` }));

test('nothing said is a fresh start, even after a claim or an opening', () => {
  assert.equal(continuationOf([], mine).kind, 'start');
  assert.equal(continuationOf([{ v: 1, k: 'claim', f: 3 }], mine).kind, 'start');
  assert.equal(continuationOf([open(1, 0, { modelHash: 'other' })], mine).kind, 'start');
});

test('a reply whose beginning is lost is not continued', () => {
  const tail = messagesOf(units(4), 10, 1);
  const lost = continuationOf(tail, mine);
  assert.equal(lost.kind, 'impossible');
  assert.equal(lost.kind === 'impossible' && lost.earlier, undefined, 'who said what is made up');
  assert.equal(continuationOf([open(1, 0), ...tail], mine).kind, 'impossible');
  assert.equal(continuationOf([open(2, 10)], mine).kind, 'impossible');
});

test('a body starts over whatever was said', () => {
  const body: Reply = { v: 1, k: 'body', f: 1, i: 0, t: '{' };
  const replies = [open(1, 0, { mode: 'body' }), body];
  assert.equal(continuationOf(replies, { mode: 'body', modelHash: 'h' }).kind, 'start');
});

test('a reply that was said in pieces, twice, and with losses is continued from where it has no gap', () => {
  const whole = units(30);
  const anyPart = fc.tuple(fc.nat(29), fc.integer({ min: 1, max: 10 }));
  fc.assert(
    fc.property(fc.array(anyPart, { minLength: 1, maxLength: 20 }), (parts) => {
      const said = parts.flatMap(([from, count]) => messagesOf(whole.slice(from, from + count), from, 1));
      const continuation = continuationOf([open(1, 0), ...said], mine);
      let reach = 0;
      for (const [from, count] of parts)
        if (from <= reach) reach = Math.max(reach, Math.min(30, from + count));
      if (reach === 0) assert.equal(continuation.kind, 'impossible');
      else
        assert.deepEqual(continuation, {
          kind: 'continue',
          units: whole.slice(0, reach),
          earlier: saidBefore(reach),
        });
    }),
  );
});

test('a replaced owner that goes on talking changes nothing', () => {
  const stale = messagesOf([{ k: 'token', id: 99, t: 'no' }], 3, 1);
  const replies = [open(1, 0), ...messagesOf(units(3), 0, 1), { v: 1, k: 'claim', f: 5 } as const, ...stale];
  assert.deepEqual(continuationOf(replies, mine), {
    kind: 'continue',
    units: units(3),
    earlier: saidBefore(3),
  });
});

test('tokens that were said are not followed by a whole body: a provider would say another answer', () => {
  const said = [open(1, 0), ...messagesOf(units(2), 0, 1)];
  assert.equal(continuationOf(said, { mode: 'body', modelHash: 'theirs' }).kind, 'impossible');
  assert.equal(continuationOf([open(1, 0)], { mode: 'body', modelHash: 'theirs' }).kind, 'start');
  const body: Reply[] = [open(1, 0, { mode: 'body' }), { v: 1, k: 'body', f: 1, i: 0, t: '{' }];
  assert.equal(continuationOf(body, { mode: 'body', modelHash: 'theirs' }).kind, 'start');
});
