import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buckets } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import OpenAI from 'openai';
import { z } from 'zod';
import { connectAs } from '../support/connect-as.ts';
import { priceOf, startTestSystem, type TestSystem } from '../support/system.ts';

const model = 'smollm2-135m-instruct';
let system: TestSystem;
let openai: OpenAI;
before(async () => {
  system = await startTestSystem({ backend: 'llama' });
  openai = new OpenAI({ baseURL: `${system.url}/v1`, apiKey: system.apiKey, maxRetries: 0 });
});
after(() => system[Symbol.asyncDispose]());

const chat = {
  model,
  messages: [{ role: 'user' as const, content: 'Name three colours.' }],
  temperature: 0,
  max_tokens: 24,
};

/** Which cluster answered, and what it said. */
async function ask(): Promise<{ cluster: string; text: string; id: string }> {
  const { data, response } = await openai.chat.completions.create(chat).withResponse();
  return {
    cluster: response.headers.get('x-drover-cluster') ?? '',
    id: response.headers.get('x-request-id') ?? '',
    text: data.choices[0]?.message.content ?? '',
  };
}

/** The cluster of the last decision about a request. */
async function chosenFor(id: string): Promise<string> {
  const answer = await fetch(`${system.url}/v1/decisions/${id}`, {
    headers: { authorization: `Bearer ${system.apiKey}` },
  });
  const { record } = z.object({ record: z.object({ chosen: z.string() }) }).parse(await answer.json());
  return record.chosen;
}

/** Repeats until the condition holds; the wait is the assertion's bound. */
async function within(ms: number, what: string, condition: () => Promise<boolean>): Promise<void> {
  const giveUpAtMs = performance.now() + ms;
  while (!(await condition())) assert.ok(performance.now() < giveUpAtMs, `not within ${ms} ms: ${what}`);
}

test('a stream of a real model says what the whole answer says', async () => {
  const whole = await ask();
  assert.ok(whole.text.length > 0);
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ ...chat, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  assert.equal(text, whole.text);
});

test('embeddings come from a real model, one vector for each input', async () => {
  const { data } = await openai.embeddings.create({ model, input: ['a', 'b'], encoding_format: 'float' });
  assert.deepEqual(
    data.map(({ embedding }) => embedding.length),
    [576, 576],
  );
  // Without a format the library asks for base64, and decodes it.
  const decoded = await openai.embeddings.create({ model, input: ['a', 'b'] });
  for (const [index, { embedding }] of data.entries())
    for (const [at, value] of embedding.entries())
      assert.ok(Math.abs(value - (decoded.data[index]?.embedding[at] ?? Number.NaN)) < 1e-4);
});

test('an unknown model is refused by name', async () => {
  await assert.rejects(openai.chat.completions.create({ ...chat, model: 'nobody' }), {
    status: 404,
    code: 'model_not_found',
  });
});

test('an aborted stream frees its slot at llama.cpp within 300 ms', async () => {
  const stream = await openai.chat.completions.create({ ...chat, max_tokens: 1_500, stream: true });
  const busy = async () => {
    const counts = await Promise.all(
      ['aws-us-east-1', 'gcp-us-central1', 'azure-eastus'].map(async (cluster) => {
        const slots: { is_processing: boolean }[] = JSON.parse(
          await (await fetch(`${system.llamaUrl(cluster)}/slots`)).text(),
        );
        return slots.filter((slot) => slot.is_processing).length;
      }),
    );
    return counts.reduce((a, b) => a + b, 0);
  };
  await stream[Symbol.asyncIterator]().next();
  assert.equal(await busy(), 1);
  stream.controller.abort();
  await within(300, 'no slot is busy', async () => (await busy()) === 0);
});

test('sixty requests at once are all answered, and every cluster has its share', async () => {
  const answers = await Promise.all(Array.from({ length: 60 }, ask));
  assert.ok(answers.every(({ text }) => text.length > 0));
  const share = new Map<string, number>();
  for (const { cluster } of answers) share.set(cluster, (share.get(cluster) ?? 0) + 1);
  assert.equal(share.size, 3, `all clusters took part: ${JSON.stringify([...share])}`);
  assert.ok(Math.max(...share.values()) < 45, `no herd: ${JSON.stringify([...share])}`);
});

const favourite = 'aws-us-east-1';

/** Prices far enough apart that measured speeds, which differ from run to run, do not decide. */
async function setPrice(usdPerHour: number): Promise<void> {
  await using admin = await connectAs(system, 'admin');
  const kv = await new Kvm(admin.js).open(buckets.prices.name);
  await kv.put(favourite, JSON.stringify(priceOf(usdPerHour)));
}

test('traffic follows a price that changes, within 2 s, and the decision says why', async () => {
  await setPrice(0.001);
  await within(2_000, 'the cheap cluster answers', async () => (await ask()).cluster === favourite);
  await setPrice(50);
  let moved = await ask();
  await within(2_000, 'another cluster answers', async () => {
    moved = await ask();
    return moved.cluster !== favourite;
  });
  const explained = await fetch(`${system.url}/v1/decisions/${moved.id}`, {
    headers: { authorization: `Bearer ${system.apiKey}`, accept: 'text/plain' },
  });
  const words = await explained.text();
  assert.equal(explained.status, 200, words);
  assert.match(words, new RegExp(moved.cluster));
  assert.match(words, new RegExp(favourite));
});

test('a cluster whose llama.cpp dies gets no more requests within 2 s, nobody sees an empty answer, and it comes back', async () => {
  await setPrice(0.001);
  await within(2_000, 'the cheap cluster answers', async () => (await ask()).cluster === favourite);
  await system.kill(`llama-${favourite}`);
  const killedAtMs = performance.now();
  while (performance.now() - killedAtMs < 3_000) {
    const startedAtMs = performance.now();
    const answer = await ask();
    assert.ok(answer.text.length > 0);
    if (startedAtMs - killedAtMs > 2_000) assert.notEqual(answer.cluster, favourite);
  }
  await system.start(`llama-${favourite}`);
  await within(20_000, 'the cluster wins again', async () => (await ask()).cluster === favourite);
});

test('a stream whose llama.cpp is killed half way goes on elsewhere, and says what it would have said', async () => {
  const long = { ...chat, max_tokens: 120 };
  const whole = (await openai.chat.completions.create(long)).choices[0]?.message.content ?? '';
  const { data: stream, response } = await openai.chat.completions
    .create({ ...long, stream: true })
    .withResponse();
  const id = response.headers.get('x-request-id') ?? '';
  let text = '';
  let chunks = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    if (++chunks === 20) await system.kill(`llama-${await chosenFor(id)}`);
  }
  assert.ok(chunks > 20);
  assert.equal(text, whole);
});
