import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { z } from 'zod';
import { readBody } from '../../apps/agent/src/llama/body.ts';
import type { Generation } from '../../apps/agent/src/llama/generate.ts';
import type { LlamaHttp } from '../../apps/agent/src/llama/http.ts';
import { eventually } from '../support/ingress.ts';
import { type RealLlama, startRealLlama } from '../support/real-llama.ts';

const chat = '/v1/chat/completions';
const completion = '/v1/completions';
const messages = [{ role: 'user', content: 'What is the weather in Paris?' }];
const schema = { type: 'object', properties: { city: { type: 'string', maxLength: 8 } }, required: ['city'] };
/** The same answer each time. */
const sure = { temperature: 0, seed: 7, cache_prompt: false, max_tokens: 24 };

let llama: RealLlama;
let url: string;
let http: LlamaHttp;
before(async () => {
  llama = await startRealLlama();
  ({ url, http } = llama);
});
after(() => llama?.stop());

const generation = (change: Partial<Generation> = {}): Generation => ({
  call: { mode: 'body', path: chat, body: {} },
  prior: [],
  contextTokens: 2_048,
  signal: new AbortController().signal,
  onUnits: () => {},
  ...change,
});

const answer = z.looseObject({
  id: z.string(),
  created: z.number(),
  timings: z.record(z.string(), z.number()),
});

/** An answer as text, in the order of its fields, without what differs each time. */
function comparable(text: string): string {
  const { id, created, timings, ...rest } = answer.parse(JSON.parse(text));
  return JSON.stringify({ ...rest, timings: Object.keys(timings) });
}

for (const [kind, path, body] of [
  ['a chat', chat, { messages }],
  ['a chat that says nothing', chat, { messages, stop: ['Paris', 'The', 'I', 'A'] }],
  [
    'a chat with a JSON schema',
    chat,
    { messages, response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } },
  ],
  ['a chat with log probabilities', chat, { messages, logprobs: true, top_logprobs: 2 }],
  [
    'a chat with tools',
    chat,
    { messages, tools: [{ type: 'function', function: { name: 'f', parameters: schema } }] },
  ],
  ['a completion', completion, { prompt: 'Once upon' }],
  ['a completion with log probabilities', completion, { prompt: 'Once upon', logprobs: 2 }],
] as const)
  test(`${kind} that is put together has every field and byte of the one that llama.cpp gives unstreamed`, async () => {
    let text = '';
    const onUnits: Generation['onUnits'] = (units) => {
      for (const unit of units) if (unit.k === 'body') text += unit.t;
    };
    const asked = { ...sure, ...body, stream: false };
    await readBody(http, { path, body: asked }, generation({ onUnits }));
    const whole = await http.text('POST', path, asked, new AbortController().signal);
    assert.equal(comparable(text), comparable(whole));
  });

const several = z.looseObject({
  choices: z.array(z.unknown()),
  usage: z.looseObject({ prompt_tokens: z.number(), completion_tokens: z.number() }),
});

for (const [kind, path, body] of [
  ['a chat', chat, { messages, n: 2 }],
  ['a completion', completion, { prompt: 'Once', n: 2 }],
] as const)
  test(`${kind} of two choices has the choices that llama.cpp gives unstreamed, and the tokens of both`, async () => {
    let text = '';
    const onUnits: Generation['onUnits'] = (units) => {
      for (const unit of units) if (unit.k === 'body') text += unit.t;
    };
    const asked = { ...sure, ...body, stream: false };
    const { usage } = await readBody(http, { path, body: asked }, generation({ onUnits }));
    const mine = several.parse(JSON.parse(text));
    const whole = several.parse(
      JSON.parse(await http.text('POST', path, asked, new AbortController().signal)),
    );
    assert.equal(JSON.stringify(mine.choices), JSON.stringify(whole.choices));
    assert.equal(mine.usage.prompt_tokens, whole.usage.prompt_tokens);
    assert.equal(mine.usage.completion_tokens, 48);
    assert.equal(usage?.completionTokens, 48);
  });

const slots = z.array(z.object({ is_processing: z.boolean() }));
const isBusy = async (): Promise<boolean> =>
  slots.parse(await (await fetch(`${url}/slots`)).json()).some((slot) => slot.is_processing);

test('an unstreamed answer that nobody wants any more frees its slot within a second, and is counted', async () => {
  const cut = new AbortController();
  let counted = 0;
  const onCounted: Generation['onCounted'] = ({ usage }) => {
    counted = usage?.completionTokens ?? 0;
  };
  const body = { messages, logprobs: true, max_tokens: 1_500, ignore_eos: true, stream: false };
  const reading = readBody(http, { path: chat, body }, generation({ signal: cut.signal, onCounted }));
  await eventually(() => counted > 5, 60_000);
  assert.equal(await isBusy(), true);
  cut.abort(new Error('cancelled'));
  await assert.rejects(reading, /cancelled/);
  await eventually(async () => !(await isBusy()), 1_000);
});
