import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Unit } from '@drover/schemas';
import { z } from 'zod';
import type { Counted } from '../../apps/agent/src/core/counted.ts';
import { readBody } from '../../apps/agent/src/llama/body.ts';
import { readDeltas } from '../../apps/agent/src/llama/deltas.ts';
import type { Generation } from '../../apps/agent/src/llama/generate.ts';
import type { LlamaHttp } from '../../apps/agent/src/llama/http.ts';
import { eventually } from '../support/ingress.ts';
import { type RealLlama, startRealLlama } from '../support/real-llama.ts';

const path = '/v1/chat/completions';
const messages = [{ role: 'user', content: 'Tell me a long story about the sea and the sky.' }];
const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
/** An answer is cut off when so many tokens of it were said. */
const enough = 12;

let llama: RealLlama;
let url: string;
let http: LlamaHttp;
before(async () => {
  llama = await startRealLlama();
  ({ url, http } = llama);
});
after(() => llama?.stop());

/** A slot that has run nothing yet has no `next_token`. */
const slots = z.array(
  z.object({
    is_processing: z.boolean(),
    next_token: z.array(z.object({ n_decoded: z.number() })).default([]),
  }),
);

const running = async () =>
  slots.parse(await (await fetch(`${url}/slots`)).json()).filter((slot) => slot.is_processing);
const isBusy = async (): Promise<boolean> => (await running()).length > 0;

/** What the real llama.cpp has said in all its slots that run. */
const saidNow = async (): Promise<number> =>
  (await running()).reduce((sum, { next_token }) => sum + (next_token[0]?.n_decoded ?? 0), 0);

const generation = (signal: AbortSignal, change: Partial<Generation> = {}): Generation => ({
  call: { mode: 'body', path, body: {} },
  prior: [],
  contextTokens: 2_048,
  signal,
  onUnits: () => {},
  ...change,
});

const never = () => new AbortController().signal;

/** Tokens of the prompt, as a whole answer counts them. */
async function promptOf(body: Record<string, unknown>): Promise<number> {
  const whole = await readBody(
    http,
    { path, body: { ...body, stream: false, logprobs: false, max_tokens: 1 } },
    generation(never()),
  );
  return whole.usage?.promptTokens ?? assert.fail('no usage');
}

/** Lets an answer begin, cuts it off, and says what was counted, and what had been said for certain. */
async function cutOff(read: typeof readBody, body: Record<string, unknown>) {
  // This llama.cpp does not stop an answer that is not streamed when its connection is closed.
  await eventually(async () => !(await isBusy()), 60_000);
  const cut = new AbortController();
  const units: Unit[] = [];
  let counted: Counted | undefined;
  const answer = read(
    http,
    { path, body: { ...body, max_tokens: 250 } },
    generation(cut.signal, {
      onUnits: (more) => void units.push(...more),
      onCounted: (now) => {
        counted = now;
      },
    }),
  );
  let said = 0;
  await eventually(async () => {
    said = await saidNow();
    return said >= enough;
  }, 60_000);
  cut.abort(new Error('cancelled'));
  await assert.rejects(answer, /cancelled/);
  return { counted, said, units };
}

test('a stream that is cut off was counted as far as it was heard, token by token', async () => {
  const body = { messages, stream: true, logprobs: true };
  const prompt = await promptOf(body);
  const { counted, units } = await cutOff(readDeltas, body);
  assert.equal(counted?.usage?.promptTokens, prompt);
  // With logprobs each token comes in a chunk of its own, after the one with the role.
  assert.equal(counted?.usage?.completionTokens, units.length - 1);
  assert.equal(counted?.isAll, true);
});

test('the tokens of all choices of a stream are counted, and the prompt that they share once', async () => {
  const body = { messages, stream: true, n: 2 };
  const prompt = await promptOf({ messages });
  const { counted, units } = await cutOff(readDeltas, body);
  assert.equal(counted?.usage?.promptTokens, prompt);
  assert.ok(Math.abs((counted?.usage?.completionTokens ?? 0) - (units.length - 2)) <= 2);
});

for (const [kind, body] of [
  ['with tools', { messages, tools }],
  ['with a seed of its own', { messages, tools, seed: 4_711 }],
  ['with tools and three choices', { messages, tools, n: 3 }],
] as const)
  test(`an answer ${kind} that is not streamed is counted in the slots of llama.cpp when it is cut off`, async () => {
    const prompt = await promptOf({ messages, tools });
    const { counted, said } = await cutOff(readBody, body);
    assert.equal(counted?.isAll, true);
    assert.equal(counted?.usage?.promptTokens, prompt);
    assert.ok((counted?.usage?.completionTokens ?? 0) >= said, `${said} said, ${JSON.stringify(counted)}`);
  });

test('the choices of an answer whose seed is drawn here differ, as they do without', async () => {
  let text = '';
  const onUnits = (units: readonly Unit[]) => {
    for (const unit of units) if (unit.k === 'body') text += unit.t;
  };
  const body = { messages, n: 2, max_tokens: 24, temperature: 1.5 };
  await readBody(http, { path, body }, generation(never(), { onUnits }));
  const { choices } = answers.parse(JSON.parse(text));
  assert.notEqual(choices[0]?.message.content, choices[1]?.message.content);
});
const answers = z.object({ choices: z.array(z.object({ message: z.object({ content: z.string() }) })) });

test('a stream of a completion with several prompts is read to its end', async () => {
  const body = {
    prompt: ['Hi', 'Why is'],
    stream: true,
    max_tokens: 3,
    stream_options: { include_usage: true },
  };
  const finished = await readDeltas(http, { path: '/v1/completions', body }, generation(never()));
  assert.ok((finished.usage?.completionTokens ?? 0) >= 2);
});

test('an embedding that is cut off is counted as a whole one is', async () => {
  const call = {
    path: '/v1/embeddings',
    body: { input: ['The sea and the sky.', ' a long story '.repeat(60), 'Why? <|im_end|>'] },
  };
  const whole = await readBody(http, call, generation(never()));
  assert.ok((whole.usage?.promptTokens ?? 0) > 60);
  const cut = new AbortController();
  let counted: Counted | undefined;
  const onCounted = (now: Counted) => {
    counted = now;
    return undefined;
  };
  const answer = readBody(http, call, generation(cut.signal, { onCounted }));
  cut.abort(new Error('cancelled'));
  await Promise.allSettled([answer]);
  await eventually(() => counted !== undefined);
  assert.deepEqual(counted, {
    usage: { promptTokens: whole.usage?.promptTokens, completionTokens: 0 },
    isAll: true,
  });
});
