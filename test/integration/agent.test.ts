import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Nats } from '@drover/runtime';
import {
  assign,
  eventsOf,
  eventually,
  hasJob,
  jobFor,
  listen,
  startBed,
  statesOf,
} from '../../apps/agent/testing/bed.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8']);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

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
  assert.deepEqual(
    ear.replies.map(({ k }) => k).filter((k, i, all) => k !== all[i - 1]),
    ['open', 'tokens', 'end'],
  );
  assert.deepEqual(await statesOf(nats, job.request.id), ['running', 'ended']);
  await eventually(async () => assert.equal(await hasJob(nats, job), false));
  assert.equal(bed.fake.counters.generations, 1);
});
