import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { follow } from '@drover/client';
import type { Nats } from '@drover/runtime';
import { streams } from '@drover/schemas';
import { assign, eventually, jobFor, listen, startBed } from '../../apps/agent/testing/bed.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';
import { startProxy } from '../support/proxy.ts';

let hub: TestServer;
before(async () => {
  hub = await startHub(['c1', 'c2']);
});
after(() => hub[Symbol.asyncDispose]());

const longMs = 30_000;

test('a request that is under way when the link breaks fails at once, and one made meanwhile is answered when it is back', async () => {
  await using server = await connectTo(hub.url);
  const held = Promise.withResolvers<void>();
  server.nc.subscribe('held', { callback: () => held.resolve() });
  server.nc.subscribe('asked', { callback: (_error, message) => void message.respond('yes') });
  await server.nc.flush();
  await using link = await startProxy(hub.port);
  await using nats = await connectTo(`nats://127.0.0.1:${link.port}`);
  const startMs = performance.now();
  const underWay = nats.nc.request('held', '', { timeout: longMs });
  await held.promise;
  link.cut();
  await assert.rejects(underWay, /timeout/i);
  assert.equal(nats.connected(), false);
  const meanwhile = nats.nc.request('asked', '', { timeout: longMs });
  link.heal();
  assert.equal((await meanwhile).string(), 'yes');
  assert.ok(performance.now() - startMs < longMs / 2);
});

test('a request that is made while there is no link, and gets none in time, ends as one that nobody answered', async () => {
  await using link = await startProxy(hub.port);
  await using nats = await connectTo(`nats://127.0.0.1:${link.port}`);
  link.cut();
  await eventually(() => assert.equal(nats.connected(), false));
  await assert.rejects(nats.nc.request('asked', '', { timeout: 100 }), { name: 'TimeoutError' });
  await assert.rejects(nats.jsm.streams.info(streams.jobs.name), /timeout/i);
});

/** As it is between two leaders: nothing is refused, and nothing is answered. */
function withoutReplayBuffer(nats: Nats): Nats {
  const consumers = Object.create(nats.jsm.consumers, { add: { value: () => new Promise(() => {}) } });
  return { ...nats, jsm: Object.create(nats.jsm, { consumers: { value: consumers } }) };
}

test('a reader that comes while the replay buffer has no leader gets all of a running reply from its agent', async () => {
  await using nats = await connectTo(hub.url);
  await using _bed = await startBed(hub.url, 'c1', { fake: { tokenMs: 20 } });
  const job = jobFor('c1', { tokens: 60 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() => assert.ok(ear.transcript.units.length >= 10));
  const late = follow(withoutReplayBuffer(nats), { tenant: job.request.tenant, id: job.request.id });
  let text = '';
  for await (const event of late.events)
    if (event.kind === 'units')
      text += event.units.map((unit) => (unit.k === 'delta' ? '' : unit.t)).join('');
  assert.equal(text, replyText('hello', 60));
});

test('a reader that comes after the end, while the replay buffer has no leader, gets the whole reply from its agent', async () => {
  await using nats = await connectTo(hub.url);
  await using _bed = await startBed(hub.url, 'c2', { fake: { tokenMs: 1 } });
  const job = jobFor('c2', { tokens: 20 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await ear.ended();
  const late = follow(withoutReplayBuffer(nats), { tenant: job.request.tenant, id: job.request.id, from: 5 });
  let text = '';
  for await (const event of late.events)
    if (event.kind === 'units')
      text += event.units.map((unit) => (unit.k === 'delta' ? '' : unit.t)).join('');
  assert.equal(text, replyText('hello', 20).slice(replyText('hello', 5).length));
});
