import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { follow } from '@drover/client';
import type { Nats } from '@drover/runtime';
import {
  maxAttempts,
  natsHeaders,
  type RequestInput,
  readAttemptsHeader,
  requestId,
  streams,
  subjects,
  tenantId,
} from '@drover/schemas';
import { headers } from 'nats';
import { until, World } from '../../apps/scheduler/testing/world.ts';
import { drover } from '../support/cli.ts';
import { connectAs } from '../support/connect-as.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const secret = 'the-secret-prompt';
const tenant = tenantId.parse('local');
let system: TestSystem;
let admin: Nats & AsyncDisposable;
before(async () => {
  system = await startTestSystem({ fakeFlags: () => ['--poison', secret] });
  admin = await connectAs(system, 'admin');
});
after(async () => {
  await admin[Symbol.asyncDispose]();
  await system[Symbol.asyncDispose]();
});

async function json(args: string[]) {
  const { code, out, notes } = await drover(system, [...args, '--json']);
  assert.equal(code, 0, notes);
  return JSON.parse(out);
}

async function letters(): Promise<{ seq: number; request: string; reason: string; attempts: unknown[] }[]> {
  return json(['dead', 'list']);
}

/** A dead letter that could be processed now. */
async function deadLetter(id: string, data: string, reason = 'max_deliver'): Promise<void> {
  const about = headers();
  about.set(natsHeaders.reason, reason);
  about.set(natsHeaders.problem, 'delivered 10 times');
  about.set(natsHeaders.subject, subjects.request('standard', tenant, id));
  await admin.js.publish(subjects.deadLetter(reason, id), data, { headers: about });
}

const requestFor = (id: string): string =>
  JSON.stringify({
    v: 1,
    id: requestId.parse(id),
    tenant,
    submittedAtMs: 1_000,
    deadlineAtMs: 31_000,
    endpoint: 'chat',
    body: { model: 'smollm2', max_tokens: 4, messages: [{ role: 'user', content: 'hello' }] },
  } satisfies RequestInput);

async function outcomeOf(id: string): Promise<string> {
  const { events } = follow(admin, { tenant, id: requestId.parse(id), deadlineAtMs: Date.now() + 10_000 });
  for await (const event of events) if (event.kind === 'end') return event.outcome.status;
  return 'no end';
}

test('a poison request ends in the dead letters after few attempts, with the reason of every one', async () => {
  const response = await fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'smollm2',
      max_tokens: 4,
      messages: [{ role: 'user', content: `say ${secret}` }],
    }),
  });
  assert.equal(response.status, 502);
  const id = response.headers.get('x-request-id') ?? '';
  const { error } = (await response.json()) as { error: { code: string } };
  assert.equal(error.code, 'attempts_exhausted');

  const [letter, ...others] = await letters();
  assert.deepEqual(others, []);
  assert.deepEqual([letter?.request, letter?.reason], [id, 'attempts_exhausted']);
  const { attempts } = await json(['dead', 'show', id]);
  assert.deepEqual(
    attempts.map(({ attempt, reason, message }: Record<string, unknown>) => [attempt, reason, message]),
    Array.from({ length: maxAttempts }, (_, n) => [n + 1, 'backend-failed', 'the prompt broke the fake']),
  );
  const clusters = new Set(attempts.map(({ cluster }: { cluster: string }) => cluster));
  assert.ok(clusters.size > 1, 'it was tried in one cluster only');

  const shown = await drover(system, ['dead', 'show', id]);
  assert.equal(shown.code, 0);
  assert.equal(shown.out.match(/the prompt broke the fake/g)?.length, maxAttempts + 1);
  const listed = await drover(system, ['dead', 'list']);
  const explained = await drover(system, ['explain', id]);
  assert.match(explained.out, /It failed: attempts_exhausted/);
  for (const { out } of [shown, listed, explained]) assert.doesNotMatch(out, new RegExp(secret));
  assert.match((await drover(system, ['dead', 'show', id, '--body'])).out, new RegExp(secret));
});

test('a retry runs the request under a new id that names the old one, and the letter is gone', async () => {
  await deadLetter('req_again', requestFor('req_again'));
  const unasked = await drover(system, ['dead', 'retry', 'req_again']);
  assert.equal(unasked.code, 2);
  assert.equal((await drover(system, ['dead', 'retry', 'req_again'], { answer: 'no' })).code, 1);
  assert.ok((await letters()).some(({ request }) => request === 'req_again'));

  const heard: string[] = [];
  admin.nc.subscribe(subjects.request('*', '*', '*'), {
    callback: (_error, message) => void heard.push(message.headers?.get(natsHeaders.retryOf) ?? ''),
  });
  const [done] = await json(['dead', 'retry', 'req_again', '--yes']);
  assert.equal(done.request, 'req_again');
  assert.match(done.retriedAs, /^req_again-r\d+$/);
  assert.deepEqual(heard, ['req_again']);
  assert.equal(await outcomeOf(done.retriedAs), 'done');
  assert.ok(!(await letters()).some(({ request }) => request === 'req_again'));
  assert.equal((await drover(system, ['dead', 'show', 'req_again'])).code, 1);
});

test('a letter stays when JetStream does not store its retry, and the next retry has the same id', async () => {
  await deadLetter('req_refused', requestFor('req_refused'));
  const { name } = streams.requests;
  await admin.jsm.streams.update(name, { max_msg_size: 10 });
  const refused = await drover(system, ['dead', 'retry', 'req_refused', '--yes']);
  assert.equal(refused.code, 1);
  const kept = (await letters()).find(({ request }) => request === 'req_refused');
  assert.ok(kept);
  await admin.jsm.streams.update(name, { max_msg_size: streams.requests.maxMsgSizeBytes });
  const [done] = await json(['dead', 'retry', 'req_refused', '--yes']);
  assert.equal(done.retriedAs, `req_refused-r${kept.seq}`);
  assert.equal(await outcomeOf(done.retriedAs), 'done');
});

test('what holds no valid request is not retried, alone or among others', async () => {
  await deadLetter('req_broken', '{"v": 1', 'invalid_request');
  await deadLetter('req_whole', requestFor('req_whole'));
  const alone = await drover(system, ['dead', 'retry', 'req_broken', '--yes', '--json']);
  assert.equal(alone.code, 1);
  assert.equal(JSON.parse(alone.notes).error.code, 'not_retryable');
  const done = await json(['dead', 'retry', '--all', '--reason', 'max_deliver', '--yes']);
  assert.deepEqual(
    done.map(({ request }: { request: string }) => request),
    ['req_whole'],
  );
  assert.ok((await letters()).some(({ request }) => request === 'req_broken'));
});

test('of two letters of one request, one has to be named', async () => {
  await deadLetter('req_twice', requestFor('req_twice'));
  await deadLetter('req_twice', requestFor('req_twice'), 'attempts_exhausted');
  const unnamed = await drover(system, ['dead', 'show', 'req_twice']);
  assert.equal(unnamed.code, 1);
  assert.match(unnamed.notes, /ambiguous/);
  const [first] = (await letters()).filter(({ request }) => request === 'req_twice');
  const shown = await json(['dead', 'show', 'req_twice', '--seq', String(first?.seq)]);
  assert.equal(shown.reason, 'max_deliver');
  assert.equal((await drover(system, ['dead', 'show', 'req_twice', '--seq', '999999'])).code, 1);
});

test('a job whose owners vanish one after the other dies with each of them named', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  await world.scheduler();
  await world.submit('r1');
  const config = { max_deliver: 2, ack_wait: 300_000_000 };
  await world.nats.jsm.consumers.update(streams.jobs.name, 'aws', config);
  for (let n = 0; n < 2; n++) await aws.take();
  await aws.next(1_000);
  await world.ended('r1');
  const dead = await until('the dead letter', () =>
    world.nats.jsm.direct.getMessage(streams.deadLetters.name, {
      last_by_subj: subjects.deadLetter('max_deliver', 'r1'),
    }),
  );
  const attempts = readAttemptsHeader(dead.header.get(natsHeaders.attempts));
  assert.deepEqual(
    attempts.map(({ cluster, reason }) => [cluster, reason]),
    [
      ['aws', 'lost'],
      ['aws', 'lost'],
    ],
  );
});
