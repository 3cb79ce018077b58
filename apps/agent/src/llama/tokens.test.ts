import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Unit } from '@drover/schemas';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { type LlamaStream, readTokens } from './tokens.ts';

/** Streams of a real llama.cpp (SmolLM2-135M, temperature 0), as they came. */
const recorded = (name: string): string =>
  readFileSync(new URL(`../../fixtures/${name}.sse`, import.meta.url), 'utf8');

/** What the same llama.cpp says about its vocabulary. */
const vocabulary: Record<string, number[]> = { '🎉': [10813, 232, 227], '👩': [10813, 235, 119] };
const held = { ids: [41141, 30], text: ' acquaintance.' };

/** Replays a recording in pieces that end at `cuts`; asks for ids are answered later. */
const replayed = (text: string, cuts: readonly number[]): LlamaStream => ({
  stream: async (_path, _body, _signal, onEvents) => {
    let events: string[] = [];
    const parser = createParser({ onEvent: ({ data }) => events.push(data) });
    const ends = [...new Set([...cuts.map((cut) => cut % text.length), text.length])].sort((a, b) => a - b);
    let start = 0;
    for (const end of ends) {
      parser.feed(text.slice(start, end));
      start = end;
      if (events.length > 0) onEvents(events);
      events = [];
      if (end % 3 === 0) await new Promise(setImmediate);
    }
  },
  post: async (path, body, schema) => {
    await new Promise(setImmediate);
    if (path === '/tokenize') return schema.parse({ tokens: vocabulary[String(body.content)] ?? [] });
    assert.deepEqual(body.tokens, held.ids);
    return schema.parse({ content: held.text });
  },
});

async function read(name: string, cuts: readonly number[] = []) {
  const messages: Unit[][] = [];
  const finished = await readTokens(
    replayed(recorded(name), cuts),
    {},
    {
      call: { mode: 'tokens', source: { kind: 'text', text: '' }, fields: {}, maxTokens: undefined },
      prior: [],
      contextTokens: 2_048,
      signal: new AbortController().signal,
      onUnits: (units) => messages.push([...units]),
    },
  );
  const units = messages.flat();
  const ids = units.map((unit) => (unit.k === 'token' ? unit.id : -1));
  const text = units.map((unit) => (unit.k === 'token' ? unit.t : '')).join('');
  return { messages, units, ids, text, finished };
}

test('the ids that were never sent are recovered, so that ids and text are those of the uninterrupted answer', async () => {
  const { ids, text, finished } = await read('emoji');
  const women = Array.from({ length: 8 }, () => [10813, 235, 119]).flat();
  assert.deepEqual(ids, [10813, 232, 227, 198, 198, ...women]);
  assert.equal(text, '🎉\n\n👩👩👩👩👩👩👩👩');
  assert.equal(finished.finish, 'length');
  // The half character at the limit was generated, and is paid for.
  assert.equal(finished.usage?.completionTokens, 30);
});

test('a token that ends the text by meaning is no part of the answer', async () => {
  const { ids, text, finished } = await read('eos');
  assert.equal(ids.length, 25);
  assert.ok(!ids.includes(2));
  assert.match(text, /^I'm glad .* today\?$/);
  assert.equal(finished.finish, 'stop');
});

test('text that was held for a stop string that did not come is said with its tokens', async () => {
  const { text, finished, units } = await read('held');
  assert.equal(text, "I'm glad to make your acquaintance. I'm ");
  assert.equal(finished.finish, 'stop');
  const at = units.findIndex((unit) => unit.k === 'token' && unit.id === 41141);
  assert.deepEqual(units.slice(at, at + 4), [
    { k: 'token', id: 41141, t: '' },
    { k: 'token', id: 30, t: '' },
    { k: 'token', id: 339, t: '' },
    { k: 'token', id: 5248, t: " acquaintance. I'm" },
  ]);
});

test('text that is still held at the token limit belongs to the answer', async () => {
  const { text, ids } = await read('held-limit');
  assert.equal(text, "I'm glad to make your acquaintance.");
  assert.deepEqual(ids.slice(-2), held.ids);
});

test('text that is held when the model ends by itself belongs to the answer', async () => {
  assert.match((await read('held-eos')).text, / today\?$/);
});

test('however the network cuts a stream, units are the same, and no message ends with text held back', async () => {
  const names = ['emoji', 'eos', 'held', 'held-limit', 'held-eos'];
  const whole = new Map(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.array(fc.nat(20_000), { maxLength: 30 }),
      async (name, cuts) => {
        const { units, messages, finished } = await read(name, cuts);
        assert.deepEqual(units, whole.get(name)?.units);
        assert.deepEqual(finished, whole.get(name)?.finished);
        for (const message of messages) {
          const last = message.at(-1);
          assert.ok(last?.k === 'token' && last.t !== '');
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a stream that breaks off is a failure of the backend, not an answer', async () => {
  const text = recorded('eos').slice(0, 900);
  await assert.rejects(
    readTokens(
      replayed(text, []),
      {},
      {
        call: { mode: 'tokens', source: { kind: 'text', text: '' }, fields: {}, maxTokens: undefined },
        prior: [],
        contextTokens: 2_048,
        signal: new AbortController().signal,
        onUnits: () => {},
      },
    ),
    { name: 'BackendError' },
  );
});
