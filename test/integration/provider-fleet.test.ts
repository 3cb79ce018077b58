import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { z } from 'zod';
import { contextTokens, localModel } from '../../infra/local/src/clusters.ts';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { priceOf, startTestSystem, type TestSystem } from '../support/system.ts';

const own = 'aws-us-east-1';
const bought = 'provider';
let provider: FakeProvider;
let system: TestSystem;
let openai: OpenAI;
before(async () => {
  provider = await startFakeProvider({ tokenMs: 5 });
  system = await startTestSystem({
    clusters: [
      { id: own, node: 'a node of our own', slots: 2, threads: 1 },
      {
        id: bought,
        node: 'a fake provider',
        slots: 1,
        threads: 1,
        provider: {
          OPENAI_BASE_URL: provider.url,
          MODEL_NAME: localModel,
          OPENAI_CONTEXT_TOKENS: String(contextTokens),
          HEALTH_INTERVAL_MS: '200',
        },
      },
    ],
    policy: { v: 1, strategy: 'provider-first', exploration: 0 },
    prices: {
      [own]: priceOf(0.09),
      [bought]: { ...priceOf(0), usdPerMillion: { prompt: 1, output: 2 } },
    },
  });
  openai = new OpenAI({ baseURL: `${system.url}/v1`, apiKey: system.apiKey, maxRetries: 0 });
});
after(async () => {
  await system[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

const chat = {
  model: localModel,
  messages: [{ role: 'user' as const, content: 'hi' }],
  max_tokens: 12,
};

async function ask() {
  const { response } = await openai.chat.completions.create(chat).withResponse();
  return {
    cluster: response.headers.get('x-drover-cluster'),
    attempts: response.headers.get('x-drover-attempts'),
  };
}

const decision = z.object({
  record: z.object({
    candidates: z.array(
      z.object({ cluster: z.string(), rejection: z.object({ code: z.string() }).optional() }),
    ),
  }),
});

test('with provider-first the provider answers while it can', async () => {
  assert.deepEqual(await ask(), { cluster: bought, attempts: '1' });
});

test('a request that the provider sends back with 429 is answered by our own cluster, and the next ones go there at once', async () => {
  provider.faults.status = 429;
  provider.faults.headers = { 'retry-after': '30' };
  const calls = provider.calls.length;
  assert.deepEqual(await ask(), { cluster: own, attempts: '2' });
  const { response } = await openai.chat.completions.create(chat).withResponse();
  assert.equal(response.headers.get('x-drover-attempts'), '1');
  assert.equal(provider.calls.length, calls + 1);
  const answer = await fetch(`${system.url}/v1/decisions/${response.headers.get('x-request-id')}`, {
    headers: { authorization: `Bearer ${system.apiKey}` },
  });
  const { candidates } = decision.parse(await answer.json()).record;
  assert.equal(candidates.find(({ cluster }) => cluster === bought)?.rejection?.code, 'provider-limited');
  provider.faults.status = undefined;
});

test('a stream that breaks off at the provider ends with an error, and nobody else begins the answer again', async () => {
  // A new agent has not heard that it is to wait.
  await system.kill(`agent-${bought}`);
  await system.start(`agent-${bought}`);
  await until(async () => (await ask()).cluster === bought);
  provider.faults.killAfterTokens = 4;
  const stream = await openai.chat.completions.create({ ...chat, stream: true });
  let text = '';
  await assert.rejects(
    async () => {
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
    },
    (error: unknown) => error instanceof Error && /continu/i.test(JSON.stringify(error) + error.message),
  );
  assert.equal(text, ' word0 word1 word2 word3');
  provider.faults.killAfterTokens = undefined;
});

async function until(holds: () => Promise<boolean>, maxMs = 15_000): Promise<void> {
  const giveUpAtMs = performance.now() + maxMs;
  while (!(await holds())) assert.ok(performance.now() < giveUpAtMs, `not within ${maxMs} ms`);
}
