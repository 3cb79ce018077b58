import assert from 'node:assert/strict';
import test from 'node:test';
import { streams } from '@drover/schemas';
import { until, World } from '../../apps/scheduler/testing/world.ts';

test('a price change in KV moves traffic within two seconds, and the decision says why', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.2 });
  const aws = world.agent('aws', { slots: 200 });
  world.agent('gcp', { slots: 200 });
  await world.scheduler();
  await world.submit('before');
  assert.equal((await world.decision('before')).chosen, 'aws');
  await aws.finish(await aws.take());
  await world.price('aws', 0.9);
  const changedAtMs = Date.now();
  let n = 0;
  await until('the traffic to move', async () => {
    await world.submit(`after${++n}`);
    return (await world.decision(`after${n}`)).chosen === 'gcp';
  });
  assert.ok(Date.now() - changedAtMs < 2_000, `${Date.now() - changedAtMs} ms`);
  const decision = await world.decision(`after${n}`);
  assert.equal(decision.rule, 'incumbent-beaten');
  assert.equal(decision.candidates.find(({ cluster }) => cluster === 'aws')?.usdPerHour, 0.9);
});

test('a bad policy in KV is refused and the last good one stays', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.2 });
  for (const cluster of ['aws', 'gcp']) world.agent(cluster, { slots: 8 });
  const { scheduler } = await world.scheduler();
  await world.policy({ v: 1, strategy: 'cluster-first', order: ['gcp' as never] });
  await until('the policy', () => scheduler.state.policy.value.strategy === 'cluster-first');
  await world.policy({ nonsense: true });
  await world.policy({ v: 1, strategy: 'cost', switchMargins: 3 } as never);
  await world.price('gcp', 0.21);
  await world.submit('r1');
  const decision = await world.decision('r1');
  assert.equal(decision.chosen, 'gcp');
  assert.equal(decision.strategy, 'cluster-first');
  await world.policy({ v: 1, strategy: 'latency' });
  await until('the next good policy', () => scheduler.state.policy.value.strategy === 'latency');
});

test('a scheduler that starts knows the fleet and the jobs at once', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 2 });
  const first = await world.scheduler('first');
  await world.submit('r1');
  await aws.take();
  await first.stop();
  aws.silence();
  const { scheduler } = await world.scheduler('second');
  assert.equal(scheduler.state.clusters().join(), 'aws');
  await world.submit('r2');
  const decision = await world.decision('r2');
  assert.equal(decision.chosen, 'aws');
  aws.speak();
  await until('the job of before to be adopted', () => scheduler.state.ledger.load(aws.cluster) === 2);
  assert.equal(scheduler.state.ledger.get('r1' as never)?.state, 'running');
});

test('a scheduler that stops gives its requests back to another at once', async () => {
  await using world = await World.start({ aws: 0.09 });
  const first = await world.scheduler('first');
  await world.submit('r1');
  await until('it to be held', () => first.scheduler.state.queue.size === 1);
  await first.stop();
  const second = await world.scheduler('second');
  await until('it to be held by the other', () => second.scheduler.state.queue.size === 1, 2_000);
  const aws = world.agent('aws', { slots: 1 });
  assert.ok(await aws.finish(await aws.take()));
});

test('service continues after the nats-server was killed and came back', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  const { scheduler } = await world.scheduler();
  await world.submit('first');
  const first = await aws.take();
  await world.submit('queued');
  await until('it to be held', () => scheduler.state.queue.size === 1);
  await world.server.kill();
  await world.server.restart();
  await until('the memory streams', async () => {
    const info = await world.nats.jsm.streams.info(streams.reports.name).catch(() => undefined);
    return info !== undefined;
  });
  await aws.finish(first);
  const queued = await aws.take();
  assert.equal(queued.job.request.id, 'queued');
  await aws.finish(queued);
  await world.submit('after');
  const after = await until('a job after the restart', () => aws.next(2_000), 10_000);
  assert.equal(after.job.request.id, 'after');
  await aws.claim(after);
  await world.price('aws', 0.5);
  await world.submit('priced');
  await aws.finish(after);
  const decision = await world.decision('priced');
  assert.equal(decision.candidates[0]?.usdPerHour, 0.5);
});
