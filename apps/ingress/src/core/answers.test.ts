import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Endpoint, nothingSeen, type ReplyMode, seenOf, type Unit } from '@drover/schemas';
import fc from 'fast-check';
import { ChunkWriter } from './chunks.ts';
import type { Identity } from './identity.ts';
import { isRecord } from './identity.ts';
import { seenFromLastEventId } from './sse.ts';
import { wholeAnswer } from './whole-answer.ts';

const identity = (endpoint: Endpoint): Identity => ({
  endpoint,
  id: 'chatcmpl-1',
  created: 1,
  model: 'smol',
});
const usage = { promptTokens: 3, completionTokens: 2, cachedTokens: 1 };
const ending = { finish: 'stop', usage };

type Chunk = { choices: Record<string, unknown>[]; usage?: unknown };

/** The data of every event, decoded. */
const decode = (events: string): Chunk[] =>
  [...events.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ''));

function streamed(
  endpoint: Endpoint,
  mode: ReplyMode,
  messages: readonly (readonly Unit[])[],
  includeUsage = false,
): Chunk[] {
  const writer = new ChunkWriter(identity(endpoint), { mode, includeUsage }, nothingSeen);
  let at = 0;
  let events = '';
  for (const units of messages) {
    events += writer.units(at, units);
    at += units.length;
  }
  return decode(events + writer.end(ending));
}

const textOfChunks = (chunks: readonly Chunk[]): string =>
  chunks
    .flatMap(({ choices }) => choices)
    .map(({ delta, text }) => (isRecord(delta) ? (delta.content ?? '') : text))
    .join('');

const token = (t: string): Unit => ({ k: 'token', id: 1, t });
const anyText = fc.string({ unit: 'binary' });
/** Units, cut into messages anywhere. */
const anyMessages = fc
  .array(fc.array(anyText.map(token), { minLength: 1, maxLength: 4 }), { maxLength: 8 })
  .map((messages): Unit[][] => messages);

test('however the units are cut into messages, stream and whole answer say the same text', () => {
  fc.assert(
    fc.property(anyMessages, fc.constantFrom<Endpoint>('chat', 'completion'), (messages, endpoint) => {
      const units = messages.flat();
      const text = units.map((unit) => (unit.k === 'token' ? unit.t : '')).join('');
      assert.equal(textOfChunks(streamed(endpoint, 'tokens', messages)), text);
      const { choices } = wholeAnswer(identity(endpoint), units, ending);
      const expected =
        endpoint === 'chat'
          ? { index: 0, message: { role: 'assistant', content: text }, logprobs: null, finish_reason: 'stop' }
          : { index: 0, text, logprobs: null, finish_reason: 'stop' };
      assert.deepEqual(choices, [expected]);
    }),
  );
});

test('an event id says what a reader has, so that resuming there continues the text under the same ids', () => {
  fc.assert(
    fc.property(anyMessages, fc.nat(), (messages, cut) => {
      const units = messages.flat();
      const style = { mode: 'tokens', includeUsage: false } as const;
      const events = new ChunkWriter(identity('chat'), style, nothingSeen).units(0, units);
      const ids = [...events.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
      const id = ids[cut % Math.max(1, ids.length)];
      const seen = seenFromLastEventId(id);
      assert.ok(seen);
      assert.equal(seen.digest, seenOf(units.slice(0, seen.units)));
      const rest = new ChunkWriter(identity('chat'), style, seen.digest).units(
        seen.units,
        units.slice(seen.units),
      );
      // Everything after the event with this id, to the letter.
      const after = id === undefined ? 0 : events.indexOf('\n\n', events.indexOf(`id: ${id}\n`)) + 2;
      assert.equal(rest, events.slice(after));
      const unsure = new ChunkWriter(identity('chat'), style, undefined).units(0, units);
      assert.deepEqual(decode(unsure), decode(events));
      assert.ok([...unsure.matchAll(/^id: (.*)$/gm)].every(([, bare]) => /^\d+$/.test(bare ?? '')));
    }),
  );
});

test('a chat stream starts with the role and ends with the finish reason', () => {
  const chunks = streamed('chat', 'tokens', [[token('Hi')], [token('!')]]);
  assert.deepEqual(
    chunks.map(({ choices }) => choices[0]),
    [
      { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null },
      { index: 0, delta: { content: 'Hi' }, finish_reason: null },
      { index: 0, delta: { content: '!' }, finish_reason: null },
      { index: 0, delta: {}, finish_reason: 'stop' },
    ],
  );
  assert.deepEqual(
    chunks.map((chunk) => ({ ...chunk, choices: [] })),
    chunks.map(() => ({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'smol',
      choices: [],
    })),
  );
});

test('usage comes in one last chunk, and only when it was asked for', () => {
  const asked = streamed('chat', 'tokens', [[token('Hi')]], true);
  assert.deepEqual(asked.at(-1)?.choices, []);
  assert.deepEqual(asked.at(-1)?.usage, {
    prompt_tokens: 3,
    completion_tokens: 2,
    total_tokens: 5,
    prompt_tokens_details: { cached_tokens: 1 },
  });
  assert.ok(asked.slice(0, -1).every((chunk) => chunk.usage === null));
  assert.ok(streamed('chat', 'tokens', [[token('Hi')]]).every((chunk) => !('usage' in chunk)));
});

const call = (index: number, more: Record<string, unknown>) => [
  { index: 0, delta: { tool_calls: [{ index, ...more }] }, finish_reason: null },
];
const toolDeltas: Unit[] = [
  [{ index: 0, delta: { role: 'assistant', content: null }, finish_reason: null }],
  call(0, { id: 'a', type: 'function', function: { name: 'add', arguments: '' } }),
  call(0, { function: { arguments: '{"x"' } }),
  call(0, { function: { arguments: ':1}' } }),
  call(1, { id: 'b', type: 'function', function: { name: 'sub', arguments: '{}' } }),
  [{ index: 0, delta: {}, finish_reason: 'tool_calls' }],
  [],
].map((choices) => ({ k: 'delta', choices }));

test('deltas pass through a stream as they are', () => {
  const chunks = streamed('chat', 'deltas', [toolDeltas]);
  const said = toolDeltas.flatMap((unit) =>
    unit.k === 'delta' && unit.choices.length > 0 ? [unit.choices] : [],
  );
  assert.deepEqual(
    chunks.map(({ choices }) => choices),
    said,
  );
});

test('deltas make a whole answer with joined tool calls', () => {
  assert.deepEqual(wholeAnswer(identity('chat'), toolDeltas, ending).choices, [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'add', arguments: '{"x":1}' } },
          { id: 'b', type: 'function', function: { name: 'sub', arguments: '{}' } },
        ],
      },
      finish_reason: 'tool_calls',
    },
  ]);
});

test('several choices are kept apart, and their log probabilities are appended', () => {
  const delta = (index: number, content: string): Unit => ({
    k: 'delta',
    choices: [
      { index, delta: { content }, logprobs: { content: [{ token: content }] }, finish_reason: null },
    ],
  });
  const { choices } = wholeAnswer(identity('chat'), [delta(1, 'b'), delta(0, 'a'), delta(1, 'B')], ending);
  assert.deepEqual(choices, [
    {
      index: 0,
      logprobs: { content: [{ token: 'a' }] },
      finish_reason: null,
      message: { role: 'assistant', content: 'a' },
    },
    {
      index: 1,
      logprobs: { content: [{ token: 'b' }, { token: 'B' }] },
      finish_reason: null,
      message: { role: 'assistant', content: 'bB' },
    },
  ]);
});

const bodyUnits = (answer: unknown): Unit[] =>
  (JSON.stringify(answer).match(/[\s\S]{1,7}/g) ?? []).map((t) => ({ k: 'body', t }));
const backendAnswer = {
  id: 'theirs',
  object: 'chat.completion',
  created: 99,
  model: 'file.gguf',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hi', tool_calls: [{ id: 'a' }] },
      finish_reason: 'stop',
    },
  ],
  system_fingerprint: 'b1',
};

test('a body answer keeps all but our id, time and model', () => {
  assert.deepEqual(wholeAnswer(identity('chat'), bodyUnits(backendAnswer), ending), {
    ...backendAnswer,
    id: 'chatcmpl-1',
    created: 1,
    model: 'smol',
  });
});

test('a body answer to a stream is one chunk', () => {
  const chunks = streamed('chat', 'body', [bodyUnits(backendAnswer)]);
  assert.deepEqual(
    chunks.map(({ choices }) => choices),
    [
      [
        {
          index: 0,
          finish_reason: 'stop',
          delta: { role: 'assistant', content: 'Hi', tool_calls: [{ index: 0, id: 'a' }] },
        },
      ],
    ],
  );
});

test('embeddings pass as they are, with the model of the catalogue', () => {
  const list = {
    object: 'list',
    model: 'x.gguf',
    data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
  };
  assert.deepEqual(wholeAnswer(identity('embedding'), bodyUnits(list), ending), { ...list, model: 'smol' });
});

test('what is no answer is the fault of the backend', () => {
  const units: Unit[] = [{ k: 'body', t: '{"choi' }];
  assert.throws(() => wholeAnswer(identity('chat'), units, ending), { code: 'backend_failed' });
  assert.throws(() => wholeAnswer(identity('embedding'), [token('x')], ending), { code: 'backend_failed' });
});
