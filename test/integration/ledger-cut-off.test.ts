import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Nats, readMetered } from '@drover/runtime';
import { type Cancel, type Event, requestId, streams, subjects, tenantId } from '@drover/schemas';
import {
  assign,
  type Bed,
  eventsOf,
  eventually,
  jobFor,
  listen,
  startBed,
  tenant,
} from '../../apps/agent/testing/bed.ts';
import { settle } from '../../apps/scheduler/src/core/settle.ts';
import { commitOutcome } from '../../apps/scheduler/src/nats/outcomes.ts';
import { tokenize } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

const cluster = 'aws';
/** What the fake llama.cpp says before it stalls: so the count does not depend on when it is cut off. */
const saidTokens = 5;

let hub: TestServer;
let nats: Nats & AsyncDisposable;
let bed: Bed;

before(async () => {
  hub = await startHub([cluster, 'gcp']);
  nats = await connectTo(hub.url);
  bed = await startBed(hub.url, cluster, { fake: { tokenMs: 2, slots: 4 } });
});
after(async () => {
  await bed[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const cancel = (id: string) => {
  const message: Cancel = { v: 1, type: 'cancel', tenant: tenantId.parse(tenant), id: requestId.parse(id) };
  nats.nc.publish(subjects.cancel(tenant, id), JSON.stringify(message));
};

const lastEvent = async (id: string): Promise<Event> =>
  (await eventsOf(nats, id)).at(-1)?.event ?? assert.fail('no event');

/** Runs a request until llama.cpp has said five tokens and no more, cancels it, and says what the ledger would be told. */
async function cutOff(body: Record<string, unknown>, endpoint = 'chat') {
  bed.fake.faults.stallAfterTokens = saidTokens;
  const job = jobFor(cluster, { endpoint, body: { model: 'm', ...body } });
  const ear = await listen(nats, job.request.id);
  const before = bed.fake.counters.tokens;
  await assign(nats, job);
  await eventually(() => assert.ok(bed.fake.counters.tokens - before >= saidTokens));
  if (body.stream === true) await eventually(() => assert.ok(ear.transcript.units.length >= saidTokens));
  cancel(job.request.id);
  const outcome = await ear.ended();
  bed.fake.faults.stallAfterTokens = undefined;
  const event = await lastEvent(job.request.id);
  assert.equal(event.state, 'ended');
  assert.ok(event.state === 'ended');
  const [portion] = event.metered ?? [];
  return { outcome, portion, prompt: await promptOf(body, endpoint) };
}

/** Tokens of the prompt, as a whole answer counts them. */
async function promptOf(body: Record<string, unknown>, endpoint: string): Promise<number> {
  const job = jobFor(cluster, { endpoint, body: { model: 'm', ...body, max_tokens: 1 } });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const { usage } = await ear.ended();
  return usage?.promptTokens ?? assert.fail('no usage');
}

const messages = [{ role: 'user', content: 'Count me, please.' }];
const tools = [{ type: 'function', function: { name: 'f' } }];

for (const [kind, body] of [
  ['a stream with logprobs', { messages, stream: true, logprobs: true }],
  ['a stream with tools', { messages, stream: true, tools }],
  ['an answer with tools that is not streamed', { messages, tools }],
  ['an answer with a seed of its own that is not streamed', { messages, tools, seed: 77 }],
] as const)
  test(`of ${kind} that is cancelled, the prompt and every token that llama.cpp said is charged`, async () => {
    const { outcome, portion, prompt } = await cutOff(body);
    assert.equal(outcome.status, 'cancelled');
    assert.deepEqual(
      [portion?.promptTokens, portion?.completionTokens, portion?.uncounted],
      [prompt, saidTokens, undefined],
    );
    assert.ok(prompt > 0);
    assert.equal(outcome.usage?.completionTokens, saidTokens);
  });

for (const [kind, input] of [
  ['a text', 'Embed me, please.'],
  ['several texts', ['Embed me, please.', 'And me.']],
  ['token ids', [1, 2, 3, 4]],
] as const)
  test(`of an embedding of ${kind} that is cancelled, the prompt is charged`, async () => {
    bed.fake.faults.stallAfterTokens = 0;
    const job = jobFor(cluster, { endpoint: 'embedding', body: { model: 'm', input } });
    const ear = await listen(nats, job.request.id);
    await assign(nats, job);
    await eventually(async () => assert.equal((await lastEvent(job.request.id)).state, 'running'));
    cancel(job.request.id);
    assert.equal((await ear.ended()).status, 'cancelled');
    bed.fake.faults.stallAfterTokens = undefined;
    const event = await lastEvent(job.request.id);
    assert.ok(event.state === 'ended');
    const texts = typeof input === 'string' ? [input] : input;
    const tokens = texts.reduce((sum, one) => sum + (typeof one === 'string' ? tokenize(one).length : 1), 0);
    assert.deepEqual(
      event.metered?.map((portion) => [portion.promptTokens, portion.completionTokens, portion.uncounted]),
      [[tokens, 0, undefined]],
    );
  });

test('of two answers with the same seed that run at once neither is counted, and the ledger says so', async () => {
  bed.fake.faults.stallAfterTokens = saidTokens;
  const job = () => jobFor(cluster, { endpoint: 'chat', body: { model: 'm', messages, tools, seed: 5 } });
  const [one, two] = [job(), job()];
  const ears = await Promise.all([one, two].map(({ request }) => listen(nats, request.id)));
  const before = bed.fake.counters.tokens;
  await Promise.all([assign(nats, one), assign(nats, two)]);
  await eventually(() => assert.equal(bed.fake.counters.tokens - before, 2 * saidTokens));
  cancel(one.request.id);
  await ears[0]?.ended();
  const event = await lastEvent(one.request.id);
  cancel(two.request.id);
  await ears[1]?.ended();
  bed.fake.faults.stallAfterTokens = undefined;
  assert.ok(event.state === 'ended');
  assert.deepEqual(
    event.metered?.map((portion) => [portion.promptTokens, portion.completionTokens, portion.uncounted]),
    [[0, 0, true]],
  );
  const record = settle({ tenant: tenantId.parse(tenant), id: one.request.id, event, storedAtMs: 0 });
  assert.equal(record.uncounted, true);
  assert.equal(record.usd, 0);
});

test('what a draining agent has said is charged although all replies are gone before the request ends', async () => {
  await using other = await startBed(hub.url, 'gcp', { fake: { tokenMs: 2 } });
  other.fake.faults.stallAfterTokens = saidTokens;
  const job = jobFor('gcp', { tokens: 50 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() => assert.equal(ear.transcript.units.length, saidTokens));
  await other.agent.stop();
  const events = await eventsOf(nats, job.request.id);
  assert.equal(events.at(-1)?.event.state, 'released');
  await nats.jsm.streams.purge(streams.replies.name, {
    filter: subjects.reply('*', tenant, job.request.id),
  });
  const outcome = { status: 'failed', code: 'deadline_exceeded', message: 'late', units: 0 } as const;
  const ending = { tenant, id: job.request.id, attempt: 1, eventSeq: events.at(-1)?.seq ?? 0, outcome };
  assert.ok(await commitOutcome(nats, { ...ending, request: job.request }));
  const event = await lastEvent(job.request.id);
  assert.ok(event.state === 'ended');
  assert.deepEqual(
    event.metered?.map((portion) => [portion.cluster, portion.completionTokens, portion.uncounted]),
    [['gcp', saidTokens, undefined]],
  );
});

test('what an agent that died has said is unknown, not nothing, once the replies are too old to be there', async () => {
  const id = 'req_old';
  const aliveAtMs = Date.now() - 11 * 60_000;
  await nats.js.publish(
    subjects.event(cluster, tenant, id),
    JSON.stringify({ v: 1, state: 'running', agent: 'a', attempt: 1, atMs: aliveAtMs }),
  );
  assert.equal(await readMetered(nats, tenant, id), undefined);
});
