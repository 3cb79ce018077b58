import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Nats } from '@drover/runtime';
import { type Cancel, requestId, subjects, tenantId } from '@drover/schemas';
import {
  assign,
  deadLettersOf,
  eventsOf,
  eventually,
  hasJob,
  jobFor,
  listen,
  newId,
  startBed,
  statesOf,
  tenant,
} from '../../apps/agent/testing/bed.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

const clusters = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', 'c10', 'c11', 'c12', 'c13'];
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

const cancelRequest = (id: string) => {
  const message: Cancel = {
    v: 1,
    type: 'cancel',
    tenant: tenantId.parse(tenant),
    id: requestId.parse(id),
  };
  nats.nc.publish(subjects.cancel(tenant, id), JSON.stringify(message));
};

test('a streamed job is answered token by token, committed once, and acked', async () => {
  await using bed = await startBed(hub.url, 'c1', { fake: { tokenMs: 2 } });
  const job = jobFor('c1', { prompt: 'one', tokens: 12 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const outcome = await ear.ended();
  assert.equal(ear.text, replyText('one', 12));
  assert.deepEqual(outcome, {
    status: 'done',
    finish: 'length',
    units: 12,
    usage: { promptTokens: 3, completionTokens: 12, cachedTokens: 0 },
  });
  const kinds = ear.replies.map(({ k }) => k).filter((k, i, all) => k !== all[i - 1]);
  assert.deepEqual(kinds, ['open', 'tokens', 'claim', 'end']);
  assert.deepEqual(await statesOf(nats, job.request.id), ['running', 'ended']);
  await eventually(async () => assert.equal(await hasJob(nats, job), false));
  assert.equal(bed.fake.counters.generations, 1);
});

test('every kind of request reaches llama.cpp in its own way', async () => {
  await using bed = await startBed(hub.url, 'c2', { fake: { tokens: 5 } });
  const messages = [{ role: 'user', content: 'hi' }];
  const chat = jobFor('c2', { endpoint: 'chat', body: { model: 'm', messages } });
  const tools = jobFor('c2', {
    endpoint: 'chat',
    body: { model: 'm', messages, stream: true, tools: [{ type: 'function' }] },
  });
  const json = jobFor('c2', {
    endpoint: 'chat',
    body: { model: 'm', messages, response_format: { type: 'json_object' } },
  });
  const embedding = jobFor('c2', { endpoint: 'embedding', body: { model: 'm', input: 'x' } });
  const none = jobFor('c2', { endpoint: 'chat', body: { model: 'm', messages, max_tokens: 0 } });
  const heard = new Map<string, { text: string; mode: string | undefined; outcome: unknown }>();
  for (const [name, job] of Object.entries({ chat, tools, json, embedding, none })) {
    const ear = await listen(nats, job.request.id);
    await assign(nats, job);
    const outcome = await ear.ended();
    heard.set(name, { text: ear.text, mode: ear.transcript.mode, outcome });
  }
  const prompt = '<user>hi<assistant>';
  assert.equal(heard.get('chat')?.mode, 'tokens');
  assert.equal(heard.get('chat')?.text, replyText(prompt, 5));
  assert.equal(heard.get('tools')?.mode, 'deltas');
  assert.equal(heard.get('json')?.mode, 'body');
  assert.equal(JSON.parse(heard.get('json')?.text ?? '').choices[0].message.content, replyText(prompt, 5));
  assert.equal(JSON.parse(heard.get('embedding')?.text ?? '').object, 'list');
  assert.deepEqual(heard.get('none')?.outcome, {
    status: 'done',
    finish: 'length',
    units: 0,
    usage: { promptTokens: prompt.length, completionTokens: 0 },
  });
  assert.equal(bed.fake.counters.generations, 3);
});

test('what llama.cpp refuses fails for good, with its own words', async () => {
  await using _bed = await startBed(hub.url, 'c3', { fake: { contextTokens: 16 } });
  const job = jobFor('c3', { prompt: 'much too long for sixteen tokens', tokens: 2 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  assert.deepEqual(await ear.ended(), {
    status: 'failed',
    code: 'context_length_exceeded',
    message: 'the request exceeds the available context size',
    units: 0,
  });
  await eventually(async () => assert.equal(await hasJob(nats, job), false));
});

test('a cancel frees the backend within 300 ms, streamed or not, and commits what was used', async () => {
  await using bed = await startBed(hub.url, 'c4', { fake: { tokenMs: 20 } });
  for (const stream of [true, false]) {
    const body = { model: 'm', prompt: 'cancel me', stream, max_tokens: 1_000 };
    const job = jobFor('c4', { body });
    const ear = await listen(nats, job.request.id);
    await assign(nats, job);
    await eventually(() => assert.equal(bed.fake.counters.busy, 1));
    await eventually(() => assert.ok(ear.transcript.units.length > 2));
    const cancelledMs = performance.now();
    cancelRequest(job.request.id);
    await eventually(() => assert.equal(bed.fake.counters.busy, 0));
    const freedMs = performance.now() - cancelledMs;
    assert.ok(freedMs < 300, `took ${freedMs} ms`);
    const outcome = await ear.ended();
    assert.equal(outcome.status, 'cancelled');
    assert.equal(outcome.usage?.completionTokens, ear.transcript.units.length);
    await eventually(async () => assert.equal(await hasJob(nats, job), false));
  }
});

test('a cancel that is not a cancel message, or names another request, stops nobody', async () => {
  await using bed = await startBed(hub.url, 'c4', { fake: { tokenMs: 10 } });
  const job = jobFor('c4', { tokens: 15 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() => assert.equal(bed.fake.counters.busy, 1));
  const subject = subjects.cancel(tenant, job.request.id);
  nats.nc.publish(subject, '{"stream":"LLM_REQUESTS","seq":7}');
  nats.nc.publish(subject, JSON.stringify({ v: 1, type: 'cancel', tenant, id: newId() }));
  assert.equal((await ear.ended()).status, 'done');
});

test('a deadline that passes in mid-answer ends the request with what the client has', async () => {
  await using bed = await startBed(hub.url, 'c5', { fake: { tokenMs: 10 } });
  const job = jobFor('c5', { tokens: 1_000, deadlineInMs: 200 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const outcome = await ear.ended();
  assert.equal(outcome.status === 'failed' && outcome.code, 'deadline_exceeded');
  assert.ok(outcome.units > 0);
  assert.equal(outcome.units, ear.transcript.units.length);
  assert.equal(outcome.usage?.completionTokens, outcome.units);
  await eventually(() => assert.equal(bed.fake.counters.busy, 0));
});

test('a job whose deadline has passed never reaches llama.cpp', async () => {
  await using bed = await startBed(hub.url, 'c5');
  const job = jobFor('c5', { deadlineInMs: -1 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const outcome = await ear.ended();
  assert.equal(outcome.status === 'failed' && outcome.code, 'deadline_exceeded');
  assert.equal(bed.fake.counters.generations, 0);
});

test('a job that does not parse goes to the dead letters and does not come back', async () => {
  await using bed = await startBed(hub.url, 'c6');
  const id = newId();
  await nats.js.publish(subjects.job('c6', id), '{"v":2}');
  await eventually(async () => assert.equal((await deadLettersOf(nats, 'invalid_request', id)).length, 1));
  const stranger = jobFor('c6');
  const otherId = newId();
  await nats.js.publish(subjects.job('c6', otherId), JSON.stringify(stranger));
  await eventually(async () =>
    assert.equal((await deadLettersOf(nats, 'invalid_request', otherId)).length, 1),
  );
  await eventually(async () => {
    const { num_ack_pending, num_pending } = await nats.jsm.consumers.info('LLM_JOBS', 'c6');
    assert.equal(num_ack_pending + num_pending, 0);
  });
  assert.equal(bed.fake.counters.generations, 0);
});

test('a request that has ended is acked and never run again', async () => {
  const job = jobFor('c7');
  const { request } = job;
  const outcome = { status: 'cancelled', units: 0 };
  await nats.js.publish(
    subjects.event('scheduler', tenant, request.id),
    JSON.stringify({ v: 1, state: 'ended', attempt: 0, atMs: 0, outcome }),
  );
  await using bed = await startBed(hub.url, 'c7');
  await assign(nats, job);
  await eventually(async () => assert.equal(await hasJob(nats, job), false));
  assert.deepEqual(await statesOf(nats, request.id), ['ended']);
  await eventually(() => assert.equal(bed.fake.counters.busy, 0));
});

test('after five attempts a poison job is not run: it ends, and becomes a dead letter', async () => {
  await using bed = await startBed(hub.url, 'c8');
  const job = jobFor('c8', { attempt: 6 });
  const { id } = job.request;
  await nats.js.publish(
    subjects.event('c8', tenant, id),
    JSON.stringify({
      v: 1,
      state: 'released',
      agent: 'a',
      attempt: 5,
      atMs: 0,
      reason: 'backend-failed',
      message: 'broke',
    }),
  );
  const ear = await listen(nats, id);
  await assign(nats, job);
  const outcome = await ear.ended();
  assert.equal(outcome.status === 'failed' && outcome.code, 'attempts_exhausted');
  assert.equal((await deadLettersOf(nats, 'attempts_exhausted', id)).length, 1);
  await eventually(async () => assert.equal(await hasJob(nats, job), false));
  assert.equal(bed.fake.counters.generations, 0);
});

test('exactly as many jobs run as there are slots, and all are answered', async () => {
  await using bed = await startBed(hub.url, 'c9', { fake: { slots: 3, tokenMs: 2 } });
  const jobs = Array.from({ length: 12 }, (_, i) => jobFor('c9', { prompt: `job ${i}`, tokens: 10 }));
  const ears = await Promise.all(jobs.map((job) => listen(nats, job.request.id)));
  await Promise.all(jobs.map((job) => assign(nats, job)));
  for (const [i, ear] of ears.entries()) {
    await ear.ended();
    assert.equal(ear.text, replyText(`job ${i}`, 10));
  }
  assert.equal(bed.fake.counters.busyMax, 3);
  const most = Math.max(...bed.reports.map(({ inFlight }) => inFlight.length));
  assert.equal(most, 3);
});

test('reports carry no figure before it was measured, and the benchmark measures the first', async () => {
  await using unmeasured = await startBed(hub.url, 'c10');
  for (const report of unmeasured.reports) {
    assert.equal(report.rates, undefined);
    assert.equal(report.ttftMs, undefined);
    assert.equal(report.bootMs, undefined);
  }
  assert.ok(unmeasured.reports.every(({ phase, model }) => phase !== 'booting' || model === undefined));
  await using measured = await startBed(hub.url, 'c11', {
    fake: { slots: 2, tokenMs: 1 },
    env: { BENCHMARK: 'on' },
  });
  const rates = measured.reports.at(-1)?.rates;
  assert.deepEqual(
    rates?.decode.map(({ b }) => b),
    [1, 2],
  );
  assert.ok((rates?.prefillTps ?? 0) > 0);
  assert.ok((rates?.decode[1]?.tps ?? 0) > (rates?.decode[0]?.tps ?? 0));
});

test('a job is dropped for what a later one has become, and taken over from what an earlier one has', async () => {
  await using bed = await startBed(hub.url, 'c12');
  const running = { v: 1, state: 'running', agent: 'a', attempt: 3, atMs: 0 };
  const dropped = jobFor('c12', { attempt: 2 });
  const later = { ...running, job: 1_000_000 };
  await nats.js.publish(subjects.event('c13', tenant, dropped.request.id), JSON.stringify(later));
  await assign(nats, dropped);
  await eventually(async () => assert.equal(await hasJob(nats, dropped), false));
  assert.equal(bed.fake.counters.generations, 0);
  // By an agent of the same cluster, and by one of the cluster that the job before was at: it was claimed more often than
  // the scheduler knew that made this one.
  for (const writer of ['c12', 'c13']) {
    const again = jobFor('c12', { attempt: 2 });
    const earlier = { ...running, job: 1 };
    await nats.js.publish(subjects.event(writer, tenant, again.request.id), JSON.stringify(earlier));
    const ear = await listen(nats, again.request.id);
    await assign(nats, again);
    assert.equal((await ear.ended()).status, 'done');
    const attempts = (await eventsOf(nats, again.request.id)).map(({ event }) => event.attempt);
    assert.deepEqual(attempts, [3, 4, 4]);
  }
});
