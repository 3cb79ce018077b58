import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import { sayHello, usage } from '../support/fake-fleet.ts';
import { apiKey, type Edge, eventually, startEdge } from '../support/ingress.ts';

let edge: Edge;
let openai: OpenAI;
before(async () => {
  edge = await startEdge();
  openai = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey, maxRetries: 0 });
});
after(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.fleet.script = sayHello;
});

const hello = { model: 'gpt-4o', messages: [{ role: 'user' as const, content: 'Hello' }] };
const openAiUsage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };

test('a chat answer comes whole, with what it cost in its headers', async () => {
  const { data, response } = await openai.chat.completions.create(hello).withResponse();
  assert.deepEqual(
    data.choices.map(({ message, finish_reason }) => [message, finish_reason]),
    [[{ role: 'assistant', content: 'Hello there!' }, 'stop']],
  );
  assert.equal(data.model, 'smol');
  assert.match(data.id, /^chatcmpl-/);
  assert.deepEqual(data.usage, openAiUsage);
  const header = (name: string) => response.headers.get(name);
  assert.match(header('x-request-id') ?? '', /^req_chat_/);
  assert.match(header('traceparent') ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.match(header('x-drover-overhead-ms') ?? '', /^\d+\.\d$/);
  assert.deepEqual(
    ['cluster', 'model', 'attempts', 'queue-ms', 'usd-per-1k'].map((name) => header(`x-drover-${name}`)),
    ['aws-us-east-1', 'smol', '1', '1.5', '0.00042'],
  );
});

test('a chat stream gives the same text, and usage at its end', async () => {
  const stream = await openai.chat.completions.create({
    ...hello,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let finish: string | null = null;
  let last: OpenAI.ChatCompletionChunk | undefined;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    last = chunk;
  }
  assert.deepEqual([text, finish], ['Hello there!', 'stop']);
  assert.deepEqual(last?.usage, openAiUsage);
});

test('a completion works as stream and whole', async () => {
  const ask = { model: 'smol', prompt: 'Say hello' };
  const whole = await openai.completions.create(ask);
  assert.equal(whole.choices[0]?.text, 'Hello there!');
  assert.match(whole.id, /^cmpl-/);
  let text = '';
  for await (const chunk of await openai.completions.create({ ...ask, stream: true })) {
    text += chunk.choices[0]?.text ?? '';
  }
  assert.equal(text, 'Hello there!');
});

test('embeddings come as the backend made them', async () => {
  edge.fleet.script = async (job) => {
    const answer = JSON.stringify({
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.25, -1] }],
      model: 'x.gguf',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    });
    job.open({ mode: 'body' });
    job.body(0, answer.slice(0, 40));
    job.body(1, answer.slice(40));
    await job.end({ status: 'done', finish: 'stop', units: 2 });
  };
  const { data, model } = await openai.embeddings.create({
    model: 'embedder',
    input: 'Hello',
    encoding_format: 'float',
  });
  assert.deepEqual([data[0]?.embedding, model], [[0.25, -1], 'embedder']);
});

test('tool calls of a stream arrive as the backend said them', async () => {
  const calls = [{ index: 0, id: 'c1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } }];
  edge.fleet.script = async (job) => {
    assert.deepEqual(job.request.body.tools, tools);
    job.open({ mode: 'deltas' });
    job.deltas(0, [[{ index: 0, delta: { role: 'assistant', tool_calls: calls }, finish_reason: null }]]);
    job.deltas(1, [[{ index: 0, delta: {}, finish_reason: 'tool_calls' }]]);
    await job.end({ status: 'done', finish: 'tool_calls', units: 2, usage });
  };
  const tools = [
    { type: 'function' as const, function: { name: 'add', parameters: { type: 'object', properties: {} } } },
  ];
  const runner = openai.chat.completions.stream({ ...hello, tools });
  const { choices } = await runner.finalChatCompletion();
  const call = choices[0]?.message.tool_calls?.[0];
  assert.equal(call?.type === 'function' ? call.function.arguments : undefined, '{"a":1}');
  const whole = await openai.chat.completions.create({ ...hello, tools });
  assert.equal(whole.choices[0]?.finish_reason, 'tool_calls');
});

test('models are listed by name and alias, and unknown ones are not found', async () => {
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['smol', 'gpt-4o', 'org/smol', 'embedder']);
  assert.equal((await openai.models.retrieve('gpt-4o')).owned_by, 'drover');
  await assert.rejects(openai.models.retrieve('gpt-9'), { status: 404, code: 'model_not_found' });
  await assert.rejects(openai.chat.completions.create({ ...hello, model: 'gpt-9' }), {
    status: 404,
    code: 'model_not_found',
    param: 'model',
    type: 'invalid_request_error',
  });
});

test('a client that aborts its stream cancels the generation', async () => {
  let ended = false;
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['Once']);
    await job.cancelled;
    await job.end({ status: 'cancelled', units: 1 });
    ended = true;
  };
  const stream = await openai.chat.completions.create({ ...hello, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'Once') break;
  stream.controller.abort();
  await eventually(() => ended, 1_000);
});

test('a client that aborts while it waits for a whole answer cancels the generation too', async () => {
  let running = false;
  let ended = false;
  edge.fleet.script = async (job) => {
    running = true;
    await job.cancelled;
    await job.end({ status: 'cancelled', units: 0 });
    ended = true;
  };
  const controller = new AbortController();
  const answer = openai.chat.completions.create(hello, { signal: controller.signal });
  const refused = assert.rejects(answer, OpenAI.APIUserAbortError);
  await eventually(() => running);
  controller.abort();
  await refused;
  await eventually(() => ended, 1_000);
});

test('a failure after the first token is an error event, not a short answer', async () => {
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['Half']);
    await job.end({ status: 'failed', code: 'backend_failed', message: 'It died.', units: 1 });
  };
  const stream = await openai.chat.completions.create({ ...hello, stream: true });
  await assert.rejects(
    async () => {
      for await (const _ of stream);
    },
    { code: 'backend_failed' },
  );
});
