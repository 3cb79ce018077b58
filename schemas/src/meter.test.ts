import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Portion } from './messages/portion.ts';
import { request } from './messages/request.ts';
import { accountOf, meter, type Opened, portionsOf } from './meter.ts';
import { type OpenReply, Transcript, type Unit } from './transcript.ts';

const opened = (change: Partial<Opened> = {}): Opened => ({
  mode: 'tokens',
  cluster: 'aws',
  attempt: 1,
  promptTokens: 7,
  usdPer1k: 0.001,
  usdPer1kPrompt: 0.0002,
  ...change,
});
const tokens = (count: number): Unit[] =>
  Array.from({ length: count }, (_, id) => ({ k: 'token', id, t: 'x' }));
const portion = (change: Partial<Portion>): Portion => ({
  cluster: 'aws',
  attempt: 1,
  promptTokens: 7,
  completionTokens: 0,
  usdPer1k: 0.001,
  usdPer1kPrompt: 0.0002,
  ...change,
});

test('a request of which nothing was said has no portion', () => {
  assert.deepEqual(portionsOf(undefined, [], undefined), []);
  assert.deepEqual(meter(new Transcript()), []);
});

test('llama.cpp’s own count is believed, and before it has counted each token unit is one', () => {
  const usage = { promptTokens: 9, completionTokens: 5 };
  assert.deepEqual(portionsOf(opened(), tokens(4), usage), [
    portion({ promptTokens: 9, completionTokens: 5 }),
  ]);
  assert.deepEqual(portionsOf(opened(), tokens(4), undefined), [portion({ completionTokens: 4 })]);
});

test('of deltas that were cut off only those count that say something, and of a body nothing is known', () => {
  const deltas: Unit[] = [
    { k: 'delta', choices: [{ index: 0, delta: { role: 'assistant', content: null } }] },
    { k: 'delta', choices: [{ index: 0, delta: { content: 'Hi' } }] },
    { k: 'delta', choices: [{ index: 0, delta: { tool_calls: [{ index: 0 }] } }] },
    { k: 'delta', choices: [{ index: 0, text: 'there' }] },
    { k: 'delta', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
  ];
  const [cut] = portionsOf(opened({ mode: 'deltas' }), deltas, undefined);
  assert.deepEqual([cut?.completionTokens, cut?.uncounted], [3, true]);
  const body: Unit[] = [{ k: 'body', t: '{' }];
  const [unknown] = portionsOf(opened({ mode: 'body' }), body, undefined);
  assert.deepEqual([unknown?.completionTokens, unknown?.uncounted], [0, true]);
});

test('deltas that say what llama.cpp had counted are metered by that, up to the latest that came through', () => {
  const transcript = new Transcript();
  const say = (i: number, completionTokens: number) =>
    transcript.accept({
      v: 1,
      k: 'deltas',
      f: 1,
      i,
      d: [[{ index: 0, delta: { content: 'Hi' } }]],
      usage: { promptTokens: 36, completionTokens },
    });
  transcript.accept({ ...openReply(1, 0, []), mode: 'deltas' });
  say(0, 3);
  say(1, 8);
  say(0, 3);
  assert.deepEqual(
    meter(transcript).map((one) => [one.promptTokens, one.completionTokens, one.uncounted]),
    [[36, 8, undefined]],
  );
});

test('a prompt that was not counted by the first attempt belongs to the one that did', () => {
  const [earlier] = portionsOf(opened({ promptTokens: undefined }), tokens(2), undefined);
  assert.ok(earlier);
  const next = portionsOf(opened({ attempt: 2, earlier: [earlier] }), tokens(5), undefined);
  assert.deepEqual(
    next.map(({ promptTokens, uncounted }) => [promptTokens, uncounted]),
    [
      [0, undefined],
      [7, undefined],
    ],
  );
  assert.equal(earlier.uncounted, true);
});

test('over any chain of attempts, every token is in exactly one portion and the prompt in one', () => {
  const anyLengths = fc.array(fc.nat(20), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(anyLengths, fc.nat(3), (lengths, more) => {
      const transcript = new Transcript();
      let earlier: Portion[] = [];
      let said = 0;
      for (const [index, length] of lengths.entries()) {
        transcript.accept(openReply(index + 1, said, earlier));
        const units = tokens(said + length).slice(said);
        if (units.length > 0)
          transcript.accept({
            v: 1,
            k: 'tokens',
            f: index + 1,
            i: said,
            ids: units.map((unit) => (unit.k === 'token' ? unit.id : 0)),
            t: units.map(() => 'x'),
          });
        said += length;
        earlier = meter(transcript);
      }
      const usage = { promptTokens: 7, completionTokens: said + more };
      const portions = meter(transcript, { status: 'done', finish: 'stop', units: said, usage });
      assert.deepEqual(
        portions.map(({ completionTokens }) => completionTokens),
        lengths.map((length, index) => (index === lengths.length - 1 ? length + more : length)),
      );
      assert.equal(
        portions.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
        7,
      );
    }),
  );
});

const openReply = (f: number, i: number, earlier: Portion[]): OpenReply => ({
  v: 1,
  k: 'open',
  f,
  i,
  model: 'm',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
  ...opened({ attempt: f, cluster: `c${f}` }),
  ...(earlier.length === 0 ? {} : { earlier }),
});

test('a reader that heard only what an owner repeated meters like one that heard everything', () => {
  const earlier = [portion({ completionTokens: 3 })];
  const transcript = new Transcript();
  // After a loss an owner says all units again, from the first, in its own name.
  transcript.accept(openReply(2, 0, earlier));
  transcript.accept({ v: 1, k: 'tokens', f: 2, i: 0, ids: [0, 1, 2, 3, 4], t: ['a', 'b', 'c', 'd', 'e'] });
  assert.deepEqual(
    meter(transcript).map(({ cluster, completionTokens }) => [cluster, completionTokens]),
    [
      ['aws', 3],
      ['c2', 2],
    ],
  );
});

test('the account of a request has no word of its prompt', () => {
  const asked = request.parse({
    v: 1,
    id: 'r1',
    tenant: 't1',
    submittedAtMs: 0,
    deadlineAtMs: 1,
    key: 'k1',
    endpoint: 'chat',
    body: { model: 'm', messages: [{ role: 'user', content: 'secret' }] },
  });
  assert.deepEqual(accountOf(asked), { key: 'k1', model: 'm', priority: 'standard' });
});
