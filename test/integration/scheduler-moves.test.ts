import assert from 'node:assert/strict';
import test from 'node:test';
import { streams } from '@drover/schemas';
import { until, World } from '../../apps/scheduler/testing/world.ts';

test('a released job moves to another cluster as attempt 2, and the old job is gone', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.3 });
  const aws = world.agent('aws', { slots: 1 });
  const gcp = world.agent('gcp', { slots: 1 });
  await world.scheduler();
  await world.submit('r1');
  const taken = await aws.take();
  aws.say({ phase: 'draining' });
  await aws.release(taken, 'draining');
  const moved = await gcp.take();
  assert.equal(moved.job.attempt, 2);
  await until('only the new job', async () => (await world.jobs()).join() === 'llm.job.gcp.r1');
  assert.equal((await world.decision('r1')).attempt, 2);
  assert.ok(await gcp.finish(moved));
});

test('a released job stays where it is while no other cluster can take it', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  const { scheduler } = await world.scheduler();
  await world.submit('r1');
  const taken = await aws.take();
  await aws.release(taken, 'backend-down', 700);
  await until('it to wait for a move', () => scheduler.state.queue.get('r1' as never));
  assert.deepEqual(await world.jobs(), ['llm.job.aws.r1']);
  const again = await aws.take();
  assert.equal(again.job.attempt, 1);
  await until('the move to be off', () => scheduler.state.queue.size === 0);
  assert.ok(await aws.finish(again));
});

test('the jobs of a cluster that falls silent are recalled, claimed ones too', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.3 });
  await world.policy({ v: 1, strategy: 'cost', reportStaleMs: 600 });
  const aws = world.agent('aws', { slots: 2 });
  const gcp = world.agent('gcp', { slots: 2 });
  const { scheduler } = await world.scheduler();
  await world.submit('claimed');
  await aws.take();
  await world.submit('waiting');
  await until('both jobs at aws', async () => (await world.jobs()).length === 2);
  aws.silence();
  await until('both jobs at gcp', async () => {
    const jobs = await world.jobs();
    return jobs.length === 2 && jobs.every((subject) => subject.startsWith('llm.job.gcp.'));
  });
  const moved = [await gcp.take(), await gcp.take()];
  assert.deepEqual(
    moved.map(({ job }) => job.attempt),
    [2, 2],
  );
  await until('the ledger to agree', () => scheduler.state.ledger.load(gcp.cluster) === 2);
});

test('jobs that nobody has claimed leave a cluster that shrinks', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.3 });
  const aws = world.agent('aws', { slots: 2 });
  const gcp = world.agent('gcp', { slots: 2 });
  await world.policy({ v: 1, strategy: 'cost', reportStaleMs: 600 });
  await world.scheduler();
  await world.submit('r1');
  await world.submit('r2');
  await until('both jobs at aws', async () => (await world.jobs()).length === 2);
  aws.say({ slots: 1 });
  const moved = await gcp.take();
  assert.equal(moved.job.attempt, 2);
  assert.equal((await world.jobs()).filter((subject) => subject.startsWith('llm.job.aws.')).length, 1);
});

test('a job delivered too often becomes a dead letter, and its request ends', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  await world.scheduler();
  await world.submit('r1');
  const config = { max_deliver: 2, ack_wait: 300_000_000 };
  await world.nats.jsm.consumers.update(streams.jobs.name, 'aws', config);
  for (let n = 0; n < 3; n++) await aws.next(1_000);
  const { outcome } = await world.ended('r1');
  assert.equal(outcome.status === 'failed' && outcome.code, 'attempts_exhausted');
  await until('the job to be gone', async () => (await world.count(streams.jobs)) === 0);
  assert.equal(await world.count(streams.deadLetters), 1);
});
