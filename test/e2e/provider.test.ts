import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Tariff } from '@drover/schemas';
import OpenAI from 'openai';
import { z } from 'zod';
import { contextTokens, localModel } from '../../infra/local/src/clusters.ts';
import { priceOf, startTestSystem, type TestSystem } from '../support/system.ts';

/** A provider that is a real llama.cpp: it has OpenAI's interface, and nobody beside it. */
const own = 'aws-us-east-1';
const bought = 'provider';
const key = 'sk-test-not-to-be-seen';
const perMillion = { prompt: 150, output: 600 };
/** Enough for a few answers; what one can cost at most, of which half this would hold, is far above what it does cost. */
const budgetUsd = 0.3;

const bill = (prompt: number, output: number) =>
  (prompt * perMillion.prompt + output * perMillion.output) / 1_000_000;

const tokenPrice: Tariff = { ...priceOf(0), usdPerMillion: perMillion };

let system: TestSystem;
let openai: OpenAI;
before(async () => {
  system = await startTestSystem({
    backend: 'llama',
    clusters: [
      { id: own, node: 'a node of our own', slots: 2, threads: 1 },
      {
        id: bought,
        node: 'somebody else',
        slots: 2,
        threads: 1,
        provider: {
          OPENAI_API_KEY: key,
          MODEL_NAME: localModel,
          OPENAI_CONTEXT_TOKENS: String(contextTokens),
          OPENAI_ENDPOINTS: 'chat,completion,embedding',
          OPENAI_OUTPUT_TOKENS_MAX: '32',
          OPENAI_BUDGET_USD_PER_MONTH: String(budgetUsd),
          HEALTH_INTERVAL_MS: '500',
        },
      },
    ],
    policy: { v: 1, strategy: 'cost', exploration: 0, providers: 'fallback' },
    prices: { [own]: priceOf(0.09), [bought]: tokenPrice },
  });
  openai = new OpenAI({ baseURL: `${system.url}/v1`, apiKey: system.apiKey, maxRetries: 0 });
});
after(() => system[Symbol.asyncDispose]());

const chat = {
  model: localModel,
  messages: [{ role: 'user' as const, content: 'Name three colours.' }],
  temperature: 0,
  max_tokens: 16,
};

type Answer = { readonly cluster: string; readonly text: string; readonly id: string; readonly usd: number };

async function ask(headers: Record<string, string> = {}): Promise<Answer> {
  const { data, response } = await openai.chat.completions.create(chat, { headers }).withResponse();
  return {
    cluster: response.headers.get('x-drover-cluster') ?? '',
    id: response.headers.get('x-request-id') ?? '',
    text: data.choices[0]?.message.content ?? '',
    usd: bill(data.usage?.prompt_tokens ?? 0, data.usage?.completion_tokens ?? 0),
  };
}

async function askStreamed(): Promise<Answer> {
  const { data: stream, response } = await openai.chat.completions
    .create({ ...chat, stream: true, stream_options: { include_usage: true } })
    .withResponse();
  let text = '';
  let usd = 0;
  for await (const { choices, usage } of stream) {
    text += choices[0]?.delta.content ?? '';
    if (usage) usd = bill(usage.prompt_tokens, usage.completion_tokens);
  }
  const id = response.headers.get('x-request-id') ?? '';
  // The headers of a stream may be sent before a cluster is chosen.
  return { cluster: (await decisionOf(id)).chosen ?? '', id, text, usd };
}

const authorization = () => ({ authorization: `Bearer ${system.apiKey}` });

const costs = z.object({ data: z.array(z.object({ cluster: z.string().nullable(), usd: z.number() })) });

/** What the ledger has for the provider, in USD. */
async function chargedFor(): Promise<number> {
  const answer = await fetch(`${system.url}/v1/costs?by=cluster`, { headers: authorization() });
  const { data } = costs.parse(await answer.json());
  return data.find(({ cluster }) => cluster === bought)?.usd ?? 0;
}

const decision = z.object({
  record: z.object({
    chosen: z.string().optional(),
    candidates: z.array(
      z.object({
        cluster: z.string(),
        costs: z.object({ marginalUsd: z.number().optional(), nominalUsdPer1k: z.number().optional() }),
        rejection: z.object({ code: z.string(), detail: z.string() }).optional(),
      }),
    ),
  }),
});

async function decisionOf(id: string) {
  const answer = await fetch(`${system.url}/v1/decisions/${id}`, { headers: authorization() });
  return decision.parse(await answer.json()).record;
}

async function until(what: string, holds: () => Promise<boolean>, maxMs = 20_000): Promise<void> {
  const giveUpAtMs = performance.now() + maxMs;
  while (!(await holds())) {
    assert.ok(performance.now() < giveUpAtMs, `not within ${maxMs} ms: ${what}`);
    await delay(50);
  }
}

/** A figure of the provider's agent; NaN where there is none. */
async function metric(nameAndLabel: string): Promise<number> {
  const text = await (await fetch(`${system.metricsUrl.agent(bought)}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(nameAndLabel));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

test('while a cluster of our own can take a request, a provider that is a fallback gets none', async () => {
  const answers = await Promise.all([ask(), askStreamed()]);
  assert.deepEqual(
    answers.map(({ cluster }) => cluster),
    [own, own],
  );
  const { candidates } = await decisionOf(answers[0].id);
  const provider = candidates.find(({ cluster }) => cluster === bought);
  assert.equal(provider?.rejection, undefined);
  assert.equal(provider?.costs.nominalUsdPer1k, perMillion.output / 1_000);
});

test('when it is gone, requests go to the provider, whole and streamed, and the ledger has the price per token', async () => {
  const before = await ask();
  await system.kill(`llama-${own}`);
  const whole = await ask();
  const streamed = await askStreamed();
  assert.deepEqual([whole.cluster, streamed.cluster], [bought, bought]);
  assert.equal(whole.text, before.text);
  assert.equal(streamed.text, before.text);
  const { data } = await openai.embeddings.create({
    model: localModel,
    input: 'a',
    encoding_format: 'float',
  });
  assert.equal(data[0]?.embedding.length, 576);

  let spent = 0;
  await until('the ledger has all three', async () => {
    spent = await chargedFor();
    return spent > whole.usd + streamed.usd;
  });
  const embedding = spent - whole.usd - streamed.usd;
  // An embedding is charged for what it reads, though it writes nothing.
  const tokens = (embedding * 1_000_000) / perMillion.prompt;
  assert.ok(tokens > 0 && tokens < 20 && Math.abs(tokens - Math.round(tokens)) < 1e-6, String(tokens));
  const { candidates } = await decisionOf(whole.id);
  assert.ok((candidates.find(({ cluster }) => cluster === bought)?.costs.marginalUsd ?? 0) > 0);
  // Three requests of clients, and the agent's own (one to five), which measured how quick it is.
  const requests = await metric('drover_provider_requests_total{outcome="done"');
  assert.ok(requests >= 4 && requests <= 8, String(requests));
  await until('the budget has what the ledger has, and the measuring', async () => {
    const held = await metric('drover_provider_spent_usd{period="month"');
    return held > spent && held < spent + 5 * bill(100, 64);
  });
});

test('when it is back, it gets the requests again', async () => {
  await system.start(`llama-${own}`);
  // Whoever asks before buys, and the budget is for the next test.
  const ready = async () => (await fetch(`${system.metricsUrl.agent(own)}/readyz`)).ok;
  await until('the agent of our own cluster is ready', ready);
  await until('our own cluster answers', async () => (await ask()).cluster === own);
});

test('a budget that is spent is never exceeded: requests wait for our own cluster, also after a restart, and decisions say why', async () => {
  await system.kill(`llama-${own}`);
  let answered = 0;
  while (true) {
    try {
      const { cluster } = await ask({ 'x-drover-deadline-ms': '3000' });
      assert.equal(cluster, bought);
      answered++;
      assert.ok(answered < 100, 'the budget does not end');
    } catch (error) {
      assert.ok(error instanceof OpenAI.APIError && error.status === 504, String(error));
      break;
    }
  }
  assert.ok(answered > 0);
  assert.ok((await chargedFor()) <= budgetUsd);
  assert.equal(await metric('drover_provider_limited{reason="budget-spent"'), 1);

  await system.kill(`agent-${bought}`);
  await system.start(`agent-${bought}`);
  await assert.rejects(ask({ 'x-drover-deadline-ms': '3000' }), { status: 504 });
  assert.equal(await metric('drover_provider_limited{reason="budget-spent"'), 1);
  await system.start(`llama-${own}`);
  await until('our own cluster answers', async () => (await ask()).cluster === own);
  const { candidates } = await decisionOf((await ask()).id);
  const rejection = candidates.find(({ cluster }) => cluster === bought)?.rejection;
  assert.equal(rejection?.code, 'provider-limited');
  assert.match(rejection.detail, /^budget-spent, for/);
  assert.ok((await chargedFor()) <= budgetUsd);
});

test("the provider's key is in no log", () => {
  const folder = join(system.stateDir, 'logs');
  const logs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  assert.ok(logs.some((text) => text.includes('"app":"agent"') && text.includes('OPENAI_API_KEY')));
  assert.ok(logs.every((text) => !text.includes(key)));
});
