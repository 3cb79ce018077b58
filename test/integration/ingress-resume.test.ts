import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  type DecisionRecord,
  decisionRecord,
  requestId,
  seenOf,
  subjects,
  tenantId,
  type Unit,
} from '@drover/schemas';
import { z } from 'zod';
import { sayHello, usage } from '../support/fake-fleet.ts';
import { apiKey, type Edge, errorOf, eventually, otherApiKey, startEdge } from '../support/ingress.ts';

let edge: Edge;
before(async () => {
  edge = await startEdge({ KEEPALIVE_MS: '100', SLOW_READER_MS: '300', STOP_GRACE_MS: '300' });
});
after(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.fleet.script = sayHello;
});

const body = (more: object = {}) =>
  JSON.stringify({ model: 'smol', messages: [{ role: 'user', content: 'Hello' }], ...more });
const known = { authorization: `Bearer ${apiKey}` };
const chat = (content: string, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    body: content,
    headers: { 'content-type': 'application/json', ...known, ...headers },
    ...(signal === undefined ? {} : { signal }),
  });
const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${edge.url}/v1${path}`, { headers: { ...known, ...headers } });

const chatAnswer = z.looseObject({
  id: z.string(),
  object: z.string(),
  choices: z.array(
    z.looseObject({ message: z.object({ content: z.string() }), finish_reason: z.string().nullable() }),
  ),
});
const requestState = z.looseObject({ status: z.string(), units: z.int(), answer: chatAnswer.nullable() });
const decisionAnswer = z.strictObject({ record: decisionRecord, explanation: z.string() });

const answerOf = async (response: Response) => chatAnswer.parse(await response.json());
const stateOf = async (id: string) => requestState.parse(await (await get(`/requests/${id}`)).json());
const textOf = (answer: z.infer<typeof chatAnswer> | null) => answer?.choices[0]?.message.content;

/** Text of the deltas, and the ids of the events that brought them. */
const read = (events: string) => ({
  text: [...events.matchAll(/"delta":\{"content":("(?:[^"\\]|\\.)*")/g)]
    .map(([, t]) => JSON.parse(t ?? '""'))
    .join(''),
  ids: [...events.matchAll(/^id: (\d+)-[0-9a-z]+$/gm)].map(([, id]) => Number(id)),
});

test('each event of a stream is sent as it comes, and numbered by units', async () => {
  const first = Promise.withResolvers<void>();
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['One']);
    await first.promise;
    job.tokens(1, [' two', '', ' three']);
    await job.end({ status: 'done', finish: 'stop', units: 4, usage });
  };
  const response = await chat(body({ stream: true }));
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  let events = '';
  const decoder = new TextDecoder();
  for await (const data of response.body ?? []) {
    events += decoder.decode(data, { stream: true });
    // The fleet goes on only when the first token has been read: a buffered stream would never end.
    if (events.includes('One')) first.resolve();
  }
  assert.deepEqual(read(events), { text: 'One two three', ids: [1, 2, 4] });
  assert.ok(events.endsWith('data: [DONE]\n\n'));
});

test('a waiting stream gets comments, and a later failure is an event without [DONE]', async () => {
  const go = Promise.withResolvers<void>();
  edge.fleet.script = async (job) => {
    await go.promise;
    await job.end({ status: 'failed', code: 'deadline_exceeded', message: 'Too late.', units: 0 });
  };
  const response = await chat(body({ stream: true }));
  assert.equal(response.status, 200);
  let events = '';
  const decoder = new TextDecoder();
  for await (const data of response.body ?? []) {
    events += decoder.decode(data, { stream: true });
    if ((events.match(/: waiting\n\n/g)?.length ?? 0) >= 2) go.resolve();
  }
  assert.match(events, /data: \{"error":\{.*"code":"deadline_exceeded"\}\}\n\n$/);
  assert.doesNotMatch(events, /\[DONE\]/);
});

test('a repeated submission joins the first: one run, the same tokens and the same id', async () => {
  const runs = edge.fleet.taken.length;
  const headers = { 'idempotency-key': 'join-1' };
  const [first, second] = await Promise.all([chat(body(), headers), chat(body(), headers)]);
  const late = await chat(body(), headers);
  const texts = await Promise.all(
    [first, second, late].map(async (response) => textOf(await answerOf(response))),
  );
  assert.deepEqual(texts, ['Hello there!', 'Hello there!', 'Hello there!']);
  assert.equal(edge.fleet.taken.length, runs + 1);
  assert.equal(first.headers.get('x-request-id'), late.headers.get('x-request-id'));
});

test('an idempotency key cannot be used for another body', async () => {
  const headers = { 'idempotency-key': 'reuse-1' };
  assert.equal((await chat(body(), headers)).status, 200);
  for (const stream of [false, true]) {
    const response = await chat(body({ seed: 1, stream }), headers);
    assert.equal(response.status, 422);
    assert.equal((await errorOf(response)).code, 'idempotency_key_reused');
  }
});

const texts = (id: number, said: readonly string[]): Unit[] =>
  said.map((t, index) => ({ k: 'token', id: id + index, t }));
const idOf = (units: readonly Unit[]): string => `${units.length}-${seenOf(units).toString(36)}`;

test('a client with an idempotency key that leaves can come back for its answer', async () => {
  const go = Promise.withResolvers<void>();
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['Still', ' here']);
    await go.promise;
    job.tokens(2, ['!']);
    await job.end({ status: 'done', finish: 'stop', units: 3, usage });
  };
  const cancels = edge.fleet.cancels.length;
  const leaving = new AbortController();
  const response = await chat(body({ stream: true }), { 'idempotency-key': 'leave-1' }, leaving.signal);
  const id = response.headers.get('x-request-id') ?? '';
  leaving.abort();

  const running = await stateOf(id);
  assert.deepEqual([running.status, running.units], ['running', 2]);
  assert.equal(textOf(running.answer), 'Still here');

  const resume = (lastEventId: string) => get(`/requests/${id}/stream`, { 'last-event-id': lastEventId });
  const resumed = resume(idOf(texts(0, ['Still'])));
  const stranger = resume(idOf(texts(1, ['Never'])));
  const trusting = resume('1');
  go.resolve();
  assert.deepEqual(read(await (await resumed).text()), { text: ' here!', ids: [2, 3] });
  const refused = await (await stranger).text();
  assert.match(refused, /"code":"continuation_impossible"/, 'it has seen the beginning of another reply');
  assert.equal(read(refused).text, '');
  const bare = await (await trusting).text();
  assert.equal(read(bare).text, ' here!');
  assert.match(bare, /^id: 3$/m, 'nobody knows what it had seen');
  assert.equal(edge.fleet.cancels.length, cancels);

  const ended = await stateOf(id);
  assert.deepEqual([ended.status, ended.answer?.choices[0]?.finish_reason], ['done', 'stop']);
  assert.deepEqual(
    [ended.answer?.object, ended.answer?.id],
    ['chat.completion', id.replace('req_chat_', 'chatcmpl-')],
  );
});

test('nobody reads the request of another tenant', async () => {
  const { headers } = await chat(body());
  const id = headers.get('x-request-id') ?? '';
  const other = { authorization: `Bearer ${otherApiKey}` };
  assert.equal((await get(`/requests/${id}`)).status, 200);
  assert.equal((await get(`/requests/${id}`, other)).status, 404);
  assert.equal((await get(`/requests/${id}/stream`, { 'last-event-id': 'x' })).status, 400);
});

test('a request can be cancelled by its id', async () => {
  edge.fleet.script = async (job) => {
    job.open();
    await job.cancelled;
    await job.end({ status: 'cancelled', units: 0 });
  };
  const runs = edge.fleet.taken.length;
  const answer = chat(body(), { 'idempotency-key': 'cancel-1' });
  await eventually(() => edge.fleet.taken.length > runs);
  const id = edge.fleet.taken.at(-1)?.id;
  const cancelled = await fetch(`${edge.url}/v1/requests/${id}/cancel`, { method: 'POST', headers: known });
  assert.equal(cancelled.status, 202);
  const response = await answer;
  assert.equal(response.status, 499);
  assert.equal((await errorOf(response)).code, 'cancelled');
});

test('a decision is told as data and in words, to its own tenant only', async () => {
  const record: DecisionRecord = {
    v: 1,
    request: requestId.parse('req_chat_d1'),
    tenant: tenantId.parse('t1'),
    model: 'smol',
    priority: 'standard',
    attempt: 1,
    decidedAtMs: 0,
    queueMs: 1,
    strategy: 'cost',
    policyRevision: 0,
    estimate: { promptTokens: 1, outputTokens: 1 },
    kind: 'reject',
    rule: 'no-candidate',
    candidates: [],
  };
  await edge.nats.js.publish(subjects.decision('t1', 'req_chat_d1'), JSON.stringify(record));
  const path = '/decisions/req_chat_d1';
  const told = decisionAnswer.parse(await (await get(path)).json());
  assert.deepEqual(told.record, record);
  const words = await get(path, { accept: 'text/plain' });
  assert.equal(await words.text(), told.explanation);
  assert.equal((await get(path, { authorization: `Bearer ${otherApiKey}` })).status, 404);
});

test('a reader that does not read is dropped, and its request cancelled', async () => {
  const text = 'x'.repeat(200_000);
  const dropped = Promise.withResolvers<void>();
  edge.fleet.script = async (job) => {
    job.open();
    for (let unit = 0; unit < 80; unit++) job.tokens(unit, [text]);
    await job.cancelled;
    dropped.resolve();
    await job.end({ status: 'cancelled', units: 80 });
  };
  const response = await chat(body({ stream: true }));
  await dropped.promise;
  await assert.rejects(response.text());
});

test('a stopping ingress cuts streams off without cancelling their requests', async () => {
  const finished = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['Cut']);
    await go.promise;
    await job.end({ status: 'done', finish: 'stop', units: 1, usage });
    finished.resolve();
  };
  const cancels = edge.fleet.cancels.length;
  const response = await chat(body({ stream: true }));
  const id = response.headers.get('x-request-id') ?? '';
  const stopped = edge.server.stop();
  assert.deepEqual(edge.server.ready().ok, false);
  await assert.rejects(response.text());
  await stopped;
  go.resolve();
  await finished.promise;
  assert.ok(!edge.fleet.cancels.slice(cancels).includes(id));
});
