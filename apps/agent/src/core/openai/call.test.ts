import assert from 'node:assert/strict';
import test from 'node:test';
import { request } from '@drover/schemas';
import { planProviderCall } from './call.ts';
import { tokensBound, tokensGuess } from './tokens.ts';

const model = { name: 'theirs', limitField: 'max_completion_tokens', outputTokensMax: 100 } as const;

const planned = (endpoint: string, body: Record<string, unknown>) =>
  planProviderCall(
    request.parse({
      v: 1,
      id: 'r1',
      tenant: 't1',
      submittedAtMs: 0,
      deadlineAtMs: 1,
      endpoint,
      body: { model: 'ours', ...body },
    }),
    model,
  );

const messages = [{ role: 'user', content: 'hi' }];

test("a chat is asked for under the provider's names, with every field that means something to it", () => {
  const call = planned('chat', { messages, max_tokens: 7, temperature: 0.5, n_predict: 9, id_slot: 1 });
  assert.deepEqual(call, {
    mode: 'body',
    path: '/chat/completions',
    body: { messages, temperature: 0.5, model: 'theirs', max_completion_tokens: 7 },
  });
});

test('a field that would change the answer is not left out in silence: the provider may refuse it', () => {
  assert.equal(planned('chat', { messages, grammar: 'root ::= "x"' }).body.grammar, 'root ::= "x"');
});

test('an answer without a limit gets one, and a limit above the most is lowered', () => {
  assert.equal(planned('chat', { messages }).body.max_completion_tokens, 100);
  assert.equal(planned('chat', { messages, max_completion_tokens: 1_000 }).body.max_completion_tokens, 100);
  assert.equal(planned('completion', { prompt: 'x' }).body.max_tokens, 100);
});

test('a stream is asked to say what it used', () => {
  const call = planned('completion', { prompt: 'x', stream: true });
  assert.equal(call.mode, 'deltas');
  assert.deepEqual(call.body.stream_options, { include_usage: true });
});

test('no request can cost more tokens than the bound: bytes of the prompt, and the limit for each answer', () => {
  const call = planned('chat', { messages, max_tokens: 50, n: 3 });
  const bound = tokensBound(call, 1_000);
  assert.equal(bound.output, 150);
  assert.ok(bound.prompt >= JSON.stringify(messages).length);
  const prompts = planned('completion', { prompt: ['a', 'b'], max_tokens: 5 });
  assert.equal(tokensBound(prompts, 1_000).output, 10);
  assert.equal(tokensBound(planned('embedding', { input: 'x' }), 1_000).output, 0);
});

test('an image may take a whole context', () => {
  const content = [{ type: 'image_url', image_url: { url: 'data:' } }];
  const call = planned('chat', { messages: [{ role: 'user', content }] });
  assert.equal(tokensBound(call, 50_000).prompt, 50_000);
});

test('a guess for the limit per minute counts the prompt by four bytes a token, and the whole limit', () => {
  const guess = tokensGuess(planned('chat', { messages: [{ role: 'user', content: 'x'.repeat(4_000) }] }));
  assert.ok(guess > 1_100 && guess < 1_200, String(guess));
});
