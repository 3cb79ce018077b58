import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lastMessage, type Nats } from '@drover/runtime';
import { type Job, parseMessage, type Spending, spending, streams, subjects } from '@drover/schemas';
import {
  assign,
  type Bed,
  eventsOf,
  eventually,
  hasJob,
  jobFor,
  listen,
  newId,
  startBed,
  statesOf,
} from '../../apps/agent/testing/bed.ts';
import {
  type FakeProvider,
  fakePromptTokens,
  fakeWords,
  startFakeProvider,
} from '../support/fake-provider.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

const clusters = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9', 'p10', 'p11', 'p12', 'p13'];
const key = 'sk-test-not-to-be-seen';
/** USD per 10⁶ tokens. */
const price = { prompt: 1, output: 4 };
let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(clusters);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const providerBed = (
  cluster: string,
  provider: FakeProvider,
  env: Record<string, string> = {},
  ready = true,
): Promise<Bed> =>
  startBed(hub.url, cluster, {
    ready,
    env: {
      LLM_BACKEND: 'openai',
      OPENAI_BASE_URL: provider.url,
      OPENAI_API_KEY: key,
      MODEL_NAME: 'm',
      OPENAI_MODEL: 'their-model',
      OPENAI_CONTEXT_TOKENS: '1000',
      OPENAI_ENDPOINTS: 'chat,completion,embedding',
      ...env,
    },
  });

const messages = [{ role: 'user', content: 'hi' }];

function chatFor(cluster: string, body: Record<string, unknown> = {}): Job {
  const made = jobFor(cluster, { endpoint: 'chat', body: { model: 'm', messages, ...body } });
  return { ...made, usdPer1k: price.output / 1_000, usdPer1kPrompt: price.prompt / 1_000 };
}

const costOf = (tokens: number) => (fakePromptTokens * price.prompt + tokens * price.output) / 1e6;

async function spentBy(cluster: string): Promise<Spending> {
  const last = await lastMessage(nats, streams.spending.name, subjects.spending(cluster));
  const parsed = parseMessage(spending, last?.data ?? new Uint8Array());
  assert.ok(parsed.ok);
  return parsed.value;
}

/** Everything of a `deltas` answer that is text. */
const contentOf = (units: readonly unknown[]): string =>
  [...JSON.stringify(units).matchAll(/"content":"([^"]*)"/g)].map((match) => match[1]).join('');

test('a streamed chat is asked of the provider by its own name of the model, and said chunk by chunk', async () => {
  await using provider = await startFakeProvider();
  await using _bed = await providerBed('p1', provider);
  const job = chatFor('p1', { stream: true, max_tokens: 12, cache_prompt: true });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const outcome = await ear.ended();
  assert.equal(outcome.status, 'done');
  assert.deepEqual(outcome.usage, {
    promptTokens: fakePromptTokens,
    completionTokens: 12,
    cachedTokens: 0,
  });
  assert.equal(ear.transcript.mode, 'deltas');
  assert.equal(contentOf(ear.transcript.units), fakeWords(12));
  const [call] = provider.calls;
  assert.deepEqual(call?.body, {
    messages,
    model: 'their-model',
    max_tokens: 12,
    stream: true,
    stream_options: { include_usage: true },
  });
  const [, ended] = await eventsOf(nats, job.request.id);
  assert.ok(ended?.event.state === 'ended');
  assert.deepEqual(ended.event.metered, [
    {
      cluster: 'p1',
      attempt: 1,
      promptTokens: fakePromptTokens,
      completionTokens: 12,
      usdPer1k: 0.004,
      usdPer1kPrompt: 0.001,
    },
  ]);
});

test('whole answers, completions and embeddings come back as the provider said them', async () => {
  await using provider = await startFakeProvider();
  await using _bed = await providerBed('p2', provider);
  const chat = chatFor('p2', { max_tokens: 3 });
  const embedding = {
    ...jobFor('p2', { endpoint: 'embedding', body: { model: 'm', input: 'x' } }),
    usdPer1k: 1,
  };
  const answers: string[] = [];
  for (const job of [chat, embedding]) {
    const ear = await listen(nats, job.request.id);
    await assign(nats, job);
    assert.equal((await ear.ended()).status, 'done');
    answers.push(ear.text);
  }
  assert.match(answers[0] ?? '', /word0 word1 word2/);
  assert.match(answers[1] ?? '', /"embedding":\[0.1,0.2\]/);
});

test('the provider gets the key and no other header that says who asks', async () => {
  await using provider = await startFakeProvider();
  await using _bed = await providerBed('p3', provider);
  const job = chatFor('p3', { stream: true });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await ear.ended();
  const { headers } = provider.calls[0] ?? {};
  assert.equal(headers?.authorization, `Bearer ${key}`);
  assert.deepEqual(
    Object.keys(headers ?? {}).filter(
      (name) =>
        !['authorization', 'host', 'connection', 'content-type', 'content-length', 'user-agent'].includes(
          name,
        ),
    ),
    [],
  );
});

test('a 429 gives the job back without blame, nothing is sent until its time has passed, and then it is answered', async () => {
  await using provider = await startFakeProvider();
  await using bed = await providerBed('p4', provider);
  provider.faults.status = 429;
  provider.faults.headers = { 'retry-after': '6' };
  const job = chatFor('p4', { stream: true });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() => {
    const last = bed.reports.at(-1);
    assert.equal(last?.provider?.limit?.reason, 'told-to-wait');
    assert.equal(last?.slots, 0);
  });
  provider.faults.status = undefined;
  const outcome = await ear.ended(15_000);
  assert.equal(outcome.status, 'done');
  assert.equal(provider.calls.length, 2);
  const events = await eventsOf(nats, job.request.id);
  assert.deepEqual(
    events.map(({ event }) => ('attempt' in event ? [event.state, event.attempt] : [])),
    [
      ['running', 1],
      ['released', 1],
      ['running', 1],
      ['ended', 1],
    ],
  );
  assert.equal(events[1]?.event.state === 'released' && events[1].event.reason, 'limited');
});

test('requests per minute are kept: the report offers no slot, and no more calls are made than were allowed', async () => {
  await using provider = await startFakeProvider();
  await using bed = await providerBed('p5', provider, {
    OPENAI_REQUESTS_PER_MINUTE: '3',
    OPENAI_SLOTS: '8',
  });
  await eventually(() => assert.equal(bed.reports.at(-1)?.slots, 3));
  const jobs = Array.from({ length: 5 }, () => chatFor('p5', { stream: true }));
  for (const job of jobs) await assign(nats, job);
  await eventually(() => {
    assert.equal(provider.calls.length, 3);
    assert.equal(bed.reports.at(-1)?.provider?.limit?.reason, 'requests-per-minute');
    assert.deepEqual([bed.reports.at(-1)?.slots, bed.reports.at(-1)?.inFlight.length], [0, 0]);
  });
  const left = await Promise.all(jobs.map((job) => hasJob(nats, job)));
  assert.equal(left.filter(Boolean).length, 2);
  assert.equal(provider.calls.length, 3);
});

test('tokens per minute are taken by a guess and given back when fewer were used', async () => {
  await using provider = await startFakeProvider({ tokenMs: 15 });
  await using bed = await providerBed('p6', provider, { OPENAI_TOKENS_PER_MINUTE: '900' });
  const job = chatFor('p6', { stream: true, max_tokens: 1_000 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() =>
    assert.ok(bed.reports.some(({ provider: told }) => told?.limit?.reason === 'tokens-per-minute')),
  );
  assert.equal((await ear.ended()).usage?.completionTokens, 20);
  await eventually(() => assert.equal(bed.reports.at(-1)?.provider?.limit, undefined));
});

test('a budget is never exceeded, whatever is asked at once, and an agent that starts again remembers what was spent', async () => {
  await using provider = await startFakeProvider();
  const env = { OPENAI_BUDGET_USD_PER_DAY: '0.01', OPENAI_OUTPUT_TOKENS_MAX: '500' };
  const jobs = Array.from({ length: 12 }, () => chatFor('p7', { stream: true }));
  {
    await using bed = await providerBed('p7', provider, env);
    const ears = await Promise.all(jobs.map(({ request }) => listen(nats, request.id)));
    await Promise.all(jobs.map((job) => assign(nats, job)));
    await eventually(async () => {
      const states = await Promise.all(jobs.map(({ request }) => statesOf(nats, request.id)));
      assert.ok(
        states.every((one) => one.at(-1) === 'ended' || one.at(-1) === 'released' || one.length === 0),
      );
      assert.ok(
        states.some((one) => one.at(-1) === 'released'),
        'some did not fit at once',
      );
    });
    const done = ears.filter(({ transcript }) => transcript.outcome?.status === 'done').length;
    assert.ok(done >= 1 && done < jobs.length, `${done} of ${jobs.length} fitted`);
    await eventually(async () => {
      const { day } = await spentBy('p7');
      assert.ok(Math.abs(day.usd - provider.calls.length * costOf(20)) < 1e-12, String(day.usd));
      assert.ok(day.usd <= 0.01);
    });
    assert.equal(bed.metrics.registry.getSingleMetric('drover_provider_spent_usd') === undefined, false);
  }
  const before = (await spentBy('p7')).day.usd;
  await using again = await providerBed('p7', provider, {
    ...env,
    OPENAI_BUDGET_USD_PER_DAY: String(before),
  });
  await eventually(() => {
    assert.equal(again.reports.at(-1)?.provider?.limit?.reason, 'budget-spent');
    assert.equal(again.reports.at(-1)?.slots, 0);
  });
});

test('what broke off in mid-answer is paid for in full, as nobody knows what was charged', async () => {
  await using provider = await startFakeProvider();
  await using _bed = await providerBed('p8', provider, {
    OPENAI_BUDGET_USD_PER_MONTH: '1',
    OPENAI_OUTPUT_TOKENS_MAX: '20',
  });
  provider.faults.killAfterTokens = 5;
  const job = chatFor('p8', { stream: true });
  await assign(nats, job);
  await eventually(async () => assert.equal((await statesOf(nats, job.request.id)).at(-1), 'released'));
  const { month } = await spentBy('p8');
  assert.ok(month.usd > costOf(20), String(month.usd));
});

test('an answer of which something was shown is not begun again: who takes over ends it', async () => {
  await using provider = await startFakeProvider();
  await using _bed = await providerBed('p9', provider);
  provider.faults.killAfterTokens = 5;
  const job = chatFor('p9', { stream: true });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const outcome = await ear.ended(15_000);
  assert.equal(outcome.status === 'failed' && outcome.code, 'continuation_impossible');
  assert.equal(provider.calls.length, 1);
});

test('a provider that refuses the key takes no work, and its report says why', async () => {
  await using provider = await startFakeProvider();
  await using bed = await providerBed('p10', provider, { HEALTH_INTERVAL_MS: '50' });
  provider.faults.modelsStatus = 401;
  await eventually(() => {
    assert.equal(bed.reports.at(-1)?.phase, 'down');
    assert.match(bed.reports.at(-1)?.reason ?? '', /refuses the key/);
  });
  provider.faults.modelsStatus = undefined;
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'ready'));
});

test('its first figures are measured by one short answer, which the budget pays for with the next request', async () => {
  await using provider = await startFakeProvider({ tokenMs: 2 });
  await using bed = await providerBed('p11', provider, { BENCHMARK: 'on', OPENAI_BUDGET_USD_PER_DAY: '1' });
  const { provider: told, rates } = bed.reports.at(-1) ?? {};
  assert.ok((told?.ttftMs ?? 0) > 0);
  assert.equal(rates?.decode[0]?.b, 1);
  assert.ok((rates?.decode[0]?.tps ?? 0) > 50 && (rates?.decode[0]?.tps ?? 0) < 1_000);
  assert.deepEqual((await spentBy('p11')).unpriced, { promptTokens: fakePromptTokens, completionTokens: 20 });
  const job = chatFor('p11', { max_tokens: 2 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await ear.ended();
  await eventually(async () => {
    const { day, unpriced } = await spentBy('p11');
    assert.ok(Math.abs(day.usd - costOf(20) - costOf(2)) < 1e-12, String(day.usd));
    assert.deepEqual(unpriced, { promptTokens: 0, completionTokens: 0 });
  });
});

test('a client error of the provider ends the request, and costs nothing', async () => {
  await using provider = await startFakeProvider();
  await using _bed = await providerBed('p12', provider, { OPENAI_BUDGET_USD_PER_DAY: '1' });
  provider.faults.status = 400;
  provider.faults.code = 'context_length_exceeded';
  const job = { ...chatFor('p12', { stream: true }) };
  const ear = await listen(nats, job.request.id);
  await assign(nats, { ...job, request: { ...job.request, id: newId() } });
  await assign(nats, job);
  const outcome = await ear.ended();
  assert.equal(outcome.status === 'failed' && outcome.code, 'context_length_exceeded');
  await eventually(async () => assert.equal((await spentBy('p12')).day.usd, 0));
});

test('two agents of a cluster share its budget to the last cent, and neither forgets what the other spent', async () => {
  await using provider = await startFakeProvider();
  const env = { OPENAI_BUDGET_USD_PER_MONTH: '0.02', OPENAI_OUTPUT_TOKENS_MAX: '500' };
  await using _one = await providerBed('p13', provider, env);
  await using _other = await providerBed('p13', provider, env);
  const jobs = Array.from({ length: 16 }, () => chatFor('p13', { stream: true }));
  await Promise.all(jobs.map((job) => assign(nats, job)));
  await eventually(async () => {
    const states = await Promise.all(jobs.map(({ request }) => statesOf(nats, request.id)));
    assert.ok(states.every((one) => one.at(-1) !== 'running'));
    assert.ok(states.some((one) => one.at(-1) === 'ended'));
    const { month } = await spentBy('p13');
    assert.ok(Math.abs(month.usd - provider.calls.length * costOf(20)) < 1e-12, String(month.usd));
    assert.ok(month.usd <= 0.02);
  });
});
