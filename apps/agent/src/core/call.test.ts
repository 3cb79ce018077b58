import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from '@drover/schemas';
import { completionBody, planCall } from './call.ts';

const requestOf = (endpoint: string, body: Record<string, unknown>) =>
  request.parse({
    v: 1,
    id: 'r',
    tenant: 't',
    endpoint,
    submittedAtMs: 0,
    deadlineAtMs: 1,
    body: { model: 'm', ...body },
  });
const planned = (endpoint: string, body: Record<string, unknown>) => planCall(requestOf(endpoint, body));
const user = [{ role: 'user', content: 'hi' }];

test('one plain choice is asked for by prompt, streamed or not', () => {
  for (const body of [
    { messages: user },
    { messages: user, stream: true, n: 1, tools: [], response_format: { type: 'text' }, logprobs: false },
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] },
    { messages: user, stop: 'x', seed: 1, logit_bias: { '5': -100 } },
  ])
    assert.equal(planned('chat', body).mode, 'tokens', JSON.stringify(body));
  for (const prompt of ['hi', ['hi'], [1, 2], [[1, 2]]])
    assert.equal(planned('completion', { prompt }).mode, 'tokens', JSON.stringify(prompt));
});

test("whatever only llama.cpp's own endpoint can do is left to it, as it came", () => {
  const hard = [
    { n: 2 },
    { tools: [{ type: 'function' }] },
    { response_format: { type: 'json_object' } },
    { logprobs: true },
    { reasoning_format: 'deepseek' },
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
  ];
  for (const extra of hard) {
    const streamed = planned('chat', { messages: user, stream: true, top_k: 7, ...extra });
    assert.equal(streamed.mode, 'deltas', JSON.stringify(extra));
    assert.ok(streamed.mode === 'deltas' && streamed.path === '/v1/chat/completions');
    assert.equal(streamed.body.top_k, 7);
    assert.equal(planned('chat', { messages: user, ...extra }).mode, 'body', JSON.stringify(extra));
  }
  for (const extra of [
    { echo: true },
    { suffix: 's' },
    { best_of: 2 },
    { logprobs: 0 },
    { prompt: ['a', 'b'] },
  ])
    assert.equal(planned('completion', { prompt: 'p', ...extra }).mode, 'body', JSON.stringify(extra));
  assert.deepEqual(planned('embedding', { input: 'x' }), {
    mode: 'body',
    path: '/v1/embeddings',
    body: { model: 'm', input: 'x' },
  });
});

test('sampling passes through, what would change the shape of the answer does not', () => {
  const call = planned('chat', {
    messages: user,
    stop: 'END',
    temperature: 0,
    top_p: null,
    top_k: 3,
    min_p: 0.1,
    stream: true,
    stream_options: { include_usage: true },
    user: 'u',
    n_probs: 5,
    id_slot: 0,
    response_fields: ['content'],
  });
  assert.ok(call.mode === 'tokens');
  assert.deepEqual(call.fields, { stop: ['END'], temperature: 0, top_k: 3, min_p: 0.1 });
});

test('a reply is never unbounded, and a continuation gets only what is left', () => {
  const limits: [Record<string, unknown>, number, number][] = [
    [{}, 0, 2_048],
    [{}, 48, 2_000],
    [{ max_tokens: 10 }, 0, 10],
    [{ max_tokens: 10, max_completion_tokens: 20 }, 5, 15],
    [{ n_predict: 7 }, 0, 7],
    [{ n_predict: -1 }, 0, 2_048],
  ];
  for (const [body, prior, expected] of limits) {
    const call = planned('chat', { messages: user, ...body });
    assert.ok(call.mode === 'tokens');
    assert.equal(completionBody(call, [1], prior, 2_048).n_predict, expected, JSON.stringify(body));
  }
});

test('tools that no answer may use are left out of a stream with logprobs, and kept everywhere else', () => {
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const bodyOf = (extra: Record<string, unknown>) => {
    const call = planned('chat', { messages: user, tools, logprobs: true, ...extra });
    return call.mode === 'tokens' ? {} : call.body;
  };
  assert.ok(!('tools' in bodyOf({ stream: true, tool_choice: 'none' })));
  for (const extra of [
    { stream: true },
    { stream: true, tool_choice: 'auto' },
    { tool_choice: 'none' },
    { stream: true, tool_choice: 'none', logprobs: false },
  ])
    assert.deepEqual(bodyOf(extra).tools, tools, JSON.stringify(extra));
});
