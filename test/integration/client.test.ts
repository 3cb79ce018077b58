import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { follow, type ReplyEvent, type Submission, submit } from '@drover/client';
import type { Nats } from '@drover/runtime';
import {
  type Event,
  type Outcome,
  type Reply,
  type RequestInput,
  requestId,
  streams,
  subjects,
  tenantId,
  type Unit,
} from '@drover/schemas';
import { nuid } from 'nats';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';
import { startProxy } from '../support/proxy.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(['aws']);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const tenant = tenantId.parse('t1');
const newId = () => requestId.parse(`req_${nuid.next()}`);
const requestFor = (id: string, deadlineInMs = 30_000): RequestInput => ({
  v: 1,
  id: requestId.parse(id),
  tenant,
  endpoint: 'completion',
  submittedAtMs: Date.now(),
  deadlineAtMs: Date.now() + deadlineInMs,
  body: { model: 'm', prompt: 'p', stream: true },
});

/** What an agent would say, on the subjects where it would say it. */
const say = (id: string, ...messages: Reply[]) => {
  for (const message of messages) nats.nc.publish(subjects.reply('aws', tenant, id), JSON.stringify(message));
};
const open = (f: number, i: number): Reply => ({
  v: 1,
  k: 'open',
  f,
  i,
  mode: 'tokens',
  attempt: 1,
  cluster: 'aws',
  model: 'm',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
});
const token = (f: number, i: number): Reply => ({ v: 1, k: 'tokens', f, i, ids: [i], t: [`${i} `] });
const tokens = (f: number, from: number, to: number) =>
  Array.from({ length: to - from }, (_, offset) => token(f, from + offset));
const done = (units: number): Outcome => ({ status: 'done', finish: 'stop', units });
const end = (f: number, units: number): Reply => ({ v: 1, k: 'end', f, outcome: done(units) });
const commit = (id: string, outcome: Outcome) => {
  const ended: Event = { v: 1, state: 'ended', attempt: 1, atMs: Date.now(), outcome };
  return nats.js.publish(subjects.event('aws', tenant, id), JSON.stringify(ended));
};

async function read(submission: Submission) {
  const units: Unit[] = [];
  let outcome: Outcome | undefined;
  for await (const event of submission.events) {
    if (event.kind === 'units') {
      assert.equal(event.at, units.length, 'units come without gaps and without repetition');
      units.push(...event.units);
    } else if (event.kind === 'end') outcome = event.outcome;
  }
  return { text: units.map((unit) => (unit.k === 'token' ? unit.t : '')).join(''), outcome };
}
const counted = (n: number) => Array.from({ length: n }, (_, index) => `${index} `).join('');
const next = async (iterator: AsyncIterator<ReplyEvent>, kind: ReplyEvent['kind']): Promise<ReplyEvent> => {
  while (true) {
    const { value, done: over } = await iterator.next();
    if (over) throw new Error(`ended before ${kind}`);
    if (value.kind === kind) return value;
  }
};

test('a submitted request is stored once, and its reply arrives in order', async () => {
  const id = newId();
  const submission = await submit(nats, requestFor(id));
  assert.equal(submission.duplicate, false);
  const stored = await nats.jsm.streams.getMessage(streams.requests.name, {
    last_by_subj: subjects.request('standard', tenant, id),
  });
  assert.ok(stored);
  say(id, open(1, 0), ...tokens(1, 0, 20), end(1, 20));
  assert.deepEqual(await read(submission), { text: counted(20), outcome: done(20) });
});

test('a second submission of the same id joins the first and reads it from the start', async () => {
  const id = newId();
  const first = await submit(nats, requestFor(id));
  say(id, open(1, 0), ...tokens(1, 0, 5));
  await next(first.events[Symbol.asyncIterator](), 'units');
  const second = await submit(nats, requestFor(id));
  assert.equal(second.duplicate, true);
  say(id, ...tokens(1, 5, 9), end(1, 9));
  assert.deepEqual(await read(second), { text: counted(9), outcome: done(9) });
});

test('a reader that comes back gets the rest and nothing twice', async () => {
  const id = newId();
  say(id, open(1, 0), ...tokens(1, 0, 10), end(1, 10));
  const units: number[] = [];
  for await (const event of follow(nats, { tenant, id, from: 6 }).events) {
    if (event.kind === 'units') units.push(...event.units.map((_, offset) => event.at + offset));
  }
  assert.deepEqual(units, [6, 7, 8, 9]);
});

test('an end that nobody published is learned from the event log', async () => {
  const id = newId();
  const submission = await submit(nats, requestFor(id));
  say(id, open(1, 0), ...tokens(1, 0, 3));
  await commit(id, done(3));
  assert.deepEqual(await read(submission), { text: counted(3), outcome: done(3) });
});

test('tokens that were said while the link was cut are there after it heals', async () => {
  await using proxy = await startProxy(hub.port);
  await using reader = await connectTo(`nats://127.0.0.1:${proxy.port}`);
  const id = newId();
  const submission = await submit(reader, requestFor(id));
  say(id, open(1, 0), ...tokens(1, 0, 4));
  const whole = read(submission);
  await nats.nc.flush();
  proxy.cut();
  say(id, ...tokens(1, 4, 8));
  await nats.nc.flush();
  proxy.heal();
  say(id, ...tokens(1, 8, 12), end(1, 12));
  assert.deepEqual(await whole, { text: counted(12), outcome: done(12) });
});

test('what a replaced owner still says is not shown', async () => {
  const id = newId();
  const submission = await submit(nats, requestFor(id));
  const wrong: Reply = { v: 1, k: 'tokens', f: 1, i: 2, ids: [99], t: ['wrong '] };
  say(
    id,
    open(1, 0),
    ...tokens(1, 0, 2),
    { v: 1, k: 'claim', f: 2 },
    wrong,
    open(2, 2),
    wrong,
    ...tokens(2, 2, 4),
  );
  say(id, end(2, 4));
  assert.deepEqual(await read(submission), { text: counted(4), outcome: done(4) });
});

test('a new owner that says something else is no end of what was shown, also while the replay buffer does not answer', async () => {
  const id = newId();
  // Between two leaders of LLM_REPLIES no consumer can be made, and everything is heard live only.
  const consumers = Object.create(nats.jsm.consumers, { add: { value: () => new Promise(() => {}) } });
  const unanswered: Nats = { ...nats, jsm: Object.create(nats.jsm, { consumers: { value: consumers } }) };
  const heard = read(follow(unanswered, { tenant, id }));
  await nats.nc.flush();
  const other: Reply = { v: 1, k: 'tokens', f: 2, i: 1, ids: [99], t: ['other '] };
  say(id, open(1, 0), ...tokens(1, 0, 2), { v: 1, k: 'claim', f: 2 }, open(2, 1), other, end(2, 2));
  const { text, outcome } = await heard;
  assert.equal(text, counted(2));
  assert.ok(
    outcome?.status === 'failed' && outcome.code === 'continuation_impossible',
    JSON.stringify(outcome),
  );
});

test('an id that nobody knows ends with not_found', async () => {
  const { outcome } = await read(follow(nats, { tenant, id: newId() }));
  assert.ok(outcome?.status === 'failed' && outcome.code === 'not_found');
});

test('an expired request that nobody else ends is ended by its reader, once', async () => {
  const id = newId();
  const submission = await submit(nats, requestFor(id, 200), { expireAs: 'ingress' });
  const { outcome } = await read(submission);
  assert.ok(outcome?.status === 'failed' && outcome.code === 'deadline_exceeded');
  const last = await nats.jsm.streams.getMessage(streams.events.name, {
    last_by_subj: subjects.event('*', tenant, id),
  });
  assert.equal(last?.subject, subjects.event('ingress', tenant, id));
});

test('a malformed request is refused before anything is stored', async () => {
  const bad = { ...requestFor(newId()), body: { model: 'm', prompt: 7 } };
  // @ts-expect-error the point is what happens to a caller without types
  await assert.rejects(submit(nats, bad), { code: 'invalid_request' });
});

test('a request that is too large is refused before anything is sent', async () => {
  const request = requestFor(newId());
  const large = { ...request, body: { ...request.body, prompt: 'x'.repeat(1_100_000) } };
  await assert.rejects(submit(nats, large as RequestInput), { code: 'request_too_large' });
});
