import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatBody, completionBody, embeddingBody } from '@drover/schemas';
import fc from 'fast-check';
import { limited, tokensBound } from './cost-bound.ts';

const contextTokens = 4_096;
const bound = (body: Parameters<typeof tokensBound>[0]) =>
  tokensBound(body, Buffer.byteLength(JSON.stringify(body)), contextTokens);
const chat = (extra: object = {}, content: unknown = 'Hi') =>
  chatBody.parse({ model: 'm', messages: [{ role: 'user', content }], ...extra });

test('the bound is above one token per byte of every text, whatever is in it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 200 }), { minLength: 1, maxLength: 5 }),
      (texts) => {
        const messages = texts.map((content) => ({ role: 'user', content }));
        const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
        assert.ok(
          bound(chatBody.parse({ model: 'm', messages, max_tokens: 10 })) >= bytes + 64 * texts.length + 10,
        );
      },
    ),
  );
});

test('every limit that llama.cpp might honour is counted at its highest, for each choice and prompt', () => {
  const one = bound(chat({ max_tokens: 100 }));
  assert.ok(bound(chat({ max_tokens: 100, n_predict: 900 })) >= one + 800);
  assert.ok(bound(chat({ max_tokens: 100, max_completion_tokens: 500 })) >= one + 400);
  assert.ok(bound(chat({ max_tokens: 100, n: 4 })) >= one + 300);
  assert.ok(bound(chat({ max_tokens: 100, n_cmpl: 4 })) >= one + 300);
  const completion = completionBody.parse({
    model: 'm',
    prompt: ['a', 'b', 'c'],
    max_tokens: 100,
    best_of: 2,
  });
  assert.ok(bound(completion) >= 3 * 2 * 100);
  assert.ok(bound(completionBody.parse({ model: 'm', prompt: [1, 2, 3], max_tokens: 0 })) > 1);
});

test('media may take a whole context, and tools grow in a template', () => {
  const image = [{ type: 'image_url', image_url: { url: 'http://x/y.png' } }];
  assert.ok(bound(chat({ max_tokens: 1 }, image)) > contextTokens);
  const tools = [{ type: 'function', function: { name: 'f', description: 'd'.repeat(100) } }];
  assert.ok(bound(chat({ max_tokens: 1, tools })) > bound(chat({ max_tokens: 1 })) + 4 * 100);
});

test('an embedding says nothing, and is bounded by its text', () => {
  assert.ok(bound(embeddingBody.parse({ model: 'm', input: ['a', 'b'] })) < 1_200);
});

test('an answer without a limit gets the context as its limit; one with a limit keeps it', () => {
  const sent = (body: object): unknown =>
    JSON.parse(JSON.stringify(limited(chatBody.parse(body), contextTokens)));
  const base = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };
  assert.deepEqual(sent({ ...base }), { ...base, max_tokens: contextTokens });
  assert.deepEqual(sent({ ...base, max_tokens: null }), { ...base, max_tokens: contextTokens });
  assert.deepEqual(sent({ ...base, n_predict: -1 }), { ...base, max_tokens: contextTokens });
  assert.deepEqual(sent({ ...base, max_tokens: 5, n_predict: -1 }), { ...base, max_tokens: 5 });
  for (const limit of [{ max_tokens: 5 }, { max_completion_tokens: 5 }, { n_predict: 5 }])
    assert.deepEqual(sent({ ...base, ...limit }), { ...base, ...limit });
});
