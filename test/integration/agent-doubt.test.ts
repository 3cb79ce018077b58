import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { replay } from '@drover/client';
import { ensureStream, type Nats } from '@drover/runtime';
import { jobConsumer, reply, streams, subjects, Transcript } from '@drover/schemas';
import {
  assign,
  eventually,
  hasJob,
  jobFor,
  listen,
  newId,
  startBed,
  statesOf,
  tenant,
  textOf,
} from '../../apps/agent/testing/bed.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(['c1', 'c2', 'c3', 'c4']);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const slow = { tokenMs: 20, slots: 2 };

/** The text that the replay buffer holds of a request, and whether its end is there. */
async function stored(id: string): Promise<{ text: string; complete: boolean }> {
  const transcript = new Transcript();
  for (const said of await replay(nats, tenant, id)) transcript.accept(said);
  return { text: textOf(transcript.units), complete: transcript.complete };
}

test('a job that is delivered again to the agent that runs it is neither run nor claimed twice', async () => {
  const ackWaitNanos = 300_000_000;
  await nats.jsm.consumers.update(streams.jobs.name, 'c1', { ack_wait: ackWaitNanos });
  await using bed = await startBed(hub.url, 'c1', { fake: slow });
  const job = jobFor('c1', { tokens: 60 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  const again = async () =>
    (await nats.jsm.consumers.info(streams.jobs.name, jobConsumer('c1').name)).num_redelivered > 0;
  await eventually(async () => assert.ok(await again(), 'not delivered again'));
  assert.equal((await ear.ended()).status, 'done');
  assert.equal(ear.text, replyText('hello', 60));
  assert.deepEqual(await statesOf(nats, job.request.id), ['running', 'ended']);
  assert.equal(bed.fake.counters.generations, 1);
  await eventually(async () => assert.ok(!(await hasJob(nats, job))));
});

test('no outcome is committed before the replay buffer holds the whole reply', async () => {
  await using _bed = await startBed(hub.url, 'c2', { fake: slow });
  const job = jobFor('c2', { tokens: 30 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() => assert.ok(ear.transcript.units.length >= 3));
  await nats.jsm.streams.delete(streams.replies.name);
  await eventually(() => assert.equal(ear.transcript.units.length, 30));
  // A commit would follow the last unit at once.
  await eventually(() => assert.ok(ear.replies.filter(({ k }) => k === 'claim').length >= 2, 'no doubt yet'));
  assert.deepEqual(await statesOf(nats, job.request.id), ['running']);
  await ensureStream(nats.jsm, streams.replies, 1);
  assert.equal((await ear.ended()).status, 'done');
  assert.deepEqual(await stored(job.request.id), { text: replyText('hello', 30), complete: true });
});

test('a reply that has ended is said again when the replay buffer has a new leader', async () => {
  await using _bed = await startBed(hub.url, 'c3', { fake: { slots: 2 } });
  const job = jobFor('c3');
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await ear.ended();
  await nats.jsm.streams.purge(streams.replies.name);
  assert.deepEqual(await stored(job.request.id), { text: '', complete: false });
  nats.nc.publish(subjects.leaderElected(streams.replies.name), '{}');
  const whole = { text: replyText('hello', 20), complete: true };
  await eventually(async () => assert.deepEqual(await stored(job.request.id), whole));
});

test('an agent that runs something is heard of several times a second', async () => {
  await using bed = await startBed(hub.url, 'c4', { fake: slow });
  const job = jobFor('c4', { tokens: 80 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await ear.ended();
  const busy = bed.reports.filter(({ inFlight }) => inFlight.length > 0).map(({ sentAtMs }) => sentAtMs);
  const gaps = busy.slice(1).map((atMs, index) => atMs - (busy[index] ?? atMs));
  assert.ok(busy.length >= 4 && Math.max(...gaps) < 700, gaps.join());
});

test('replies that a single server has stored are there after its crash', async () => {
  const id = newId();
  const said = { v: 1, k: 'claim', f: 1 } as const;
  await nats.js.publish(subjects.reply('c4', tenant, id), JSON.stringify(said));
  const back = new Promise<void>((resolve) => nats.onReconnect(resolve));
  await hub.restart();
  await back;
  await eventually(async () => assert.deepEqual(await replay(nats, tenant, id), [reply.parse(said)]));
});
