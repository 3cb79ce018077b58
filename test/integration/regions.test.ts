import assert from 'node:assert/strict';
import test from 'node:test';
import { createLogger, createRegistry, readSubject } from '@drover/runtime';
import { clusterId, policy, streams, subjects } from '@drover/schemas';
import { createMetrics } from '../../apps/scheduler/src/metrics.ts';
import { subscribeReports } from '../../apps/scheduler/src/nats/reports.ts';
import { Scaler } from '../../apps/scheduler/src/scaler.ts';
import { State } from '../../apps/scheduler/src/state.ts';
import { until, World } from '../../apps/scheduler/testing/world.ts';
import { priceOf } from '../support/system.ts';

const bound = { regions: ['eu-'] };

async function twoRegions(): Promise<World> {
  const world = await World.start({ us: 0.09, eu: 0.3 });
  await world.price('us', 0.09, 'us-east-1');
  await world.price('eu', 0.3, 'eu-west-1');
  await world.policy({ v: 1, strategy: 'cost', reportStaleMs: 600 });
  return world;
}

test('a request goes to its region though another is cheaper, and waits there for a slot', async () => {
  await using world = await twoRegions();
  const us = world.agent('us', { slots: 2 });
  const eu = world.agent('eu', { slots: 1 });
  const { scheduler } = await world.scheduler();
  await world.submit('first', bound);
  const first = await eu.take();
  await world.submit('second', bound);
  await until('the second to wait', () => scheduler.state.queue.get('second' as never));
  await world.submit('free');
  assert.equal((await us.take()).job.request.id, 'free');
  assert.ok(scheduler.state.queue.get('second' as never));
  assert.ok(await eu.finish(first));
  assert.equal((await eu.take()).job.request.id, 'second');
});

test('a request whose region has died waits for it and never leaves it', async () => {
  await using world = await twoRegions();
  const us = world.agent('us', { slots: 2 });
  const eu = world.agent('eu', { slots: 1 });
  const { scheduler } = await world.scheduler();
  await world.submit('claimed', bound);
  await eu.take();
  await world.submit('waiting', bound);
  eu.silence();
  await until('both to wait', () => scheduler.state.queue.size === 2);
  await world.submit('free');
  const free = await us.take();
  assert.equal(free.job.request.id, 'free');
  assert.ok(await us.finish(free));
  await until('no job in the other region', async () => (await world.jobs()).join() === 'llm.job.eu.claimed');
  assert.equal(scheduler.state.queue.size, 2);
});

test('a request whose regions have no cluster is refused with a code of its own', async () => {
  await using world = await twoRegions();
  world.agent('us', { slots: 1 }).say({});
  world.agent('eu', { slots: 1 }).say({});
  await world.scheduler();
  await world.submit('r1', { regions: ['ap-'] });
  const end = await until('its end', () => world.lastEvent('r1'));
  assert.match(JSON.stringify(end), /no_cluster_in_region/);
});

test('a request whose region sleeps wakes it, though slots are free elsewhere', async () => {
  await using world = await twoRegions();
  await world.policy({ v: 1, strategy: 'cost', scaling: {} });
  const us = world.agent('us', { slots: 8 });
  const { scheduler } = await world.scheduler();
  await world.submit('free');
  await us.take();
  await world.submit('bound', bound);
  const isWoken = async () =>
    (await readSubject(world.nats, streams.wakes.name, subjects.wake('eu', '*'))).length === 1;
  await until('the cluster of the region to be woken', isWoken, 15_000);
  assert.ok(scheduler.state.queue.get('bound' as never));
  assert.ok(scheduler.state.ledger.load(us.cluster) === 1);
});

test('a request whose region sleeps wakes it also when a scheduler holds it that has not the duty to wake', async () => {
  await using world = await twoRegions();
  await world.policy({ v: 1, strategy: 'cost', scaling: {} });
  world.agent('us', { slots: 8 });
  // The duty alone, without a queue.
  const state = new State();
  const metrics = createMetrics(createRegistry('leader'));
  const log = createLogger('leader', 'fatal');
  state.setPolicy({ value: policy.parse({ v: 1, strategy: 'cost', scaling: {} }), revision: 1 });
  for (const name of ['us', 'eu']) state.setTariff(clusterId.parse(name), priceOf(0.1));
  subscribeReports(world.nats, (report, atMs) => state.hearReport(report, atMs), log);
  await until('the leader to know of free slots', () => state.fleet.size === 1);
  const leader = new Scaler({ nats: world.nats, log, metrics, state, schedulerId: 'leader' });
  await using _leading = { [Symbol.asyncDispose]: () => leader.stop() };
  leader.start();
  await until('it to lead', async () => (await metrics.scalingLeader.get()).values[0]?.value === 1);
  const { scheduler } = await world.scheduler('other');
  await world.submit('bound', bound);
  const isWoken = async () =>
    (await readSubject(world.nats, streams.wakes.name, subjects.wake('eu', '*'))).length > 0;
  await until('the cluster of the region to be woken', isWoken, 10_000);
  assert.ok(scheduler.state.queue.get('bound' as never));
  assert.equal((await metrics.scalingLeader.get()).values[0]?.value, 1);
});
