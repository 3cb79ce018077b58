import assert from 'node:assert/strict';
import test from 'node:test';
import { parseMessage, type Reply, reply, streams, subjects } from '@drover/schemas';
import { until, World } from '../../apps/scheduler/testing/world.ts';

test('a request becomes a job of the cheaper cluster, and its message is acknowledged', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.3 });
  const aws = world.agent('aws', { slots: 2 });
  world.agent('gcp', { slots: 2 });
  await world.scheduler();
  await world.submit('r1');
  const taken = await aws.take();
  assert.equal(taken.job.attempt, 1);
  assert.equal(taken.job.modelHash, 'h1');
  const decision = await world.decision('r1');
  assert.equal(decision.chosen, 'aws');
  assert.deepEqual(decision.candidates.map(({ cluster }) => cluster).toSorted(), ['aws', 'gcp']);
  await until('the request to be acknowledged', async () => (await world.count(streams.requests)) === 0);
  assert.ok(await aws.finish(taken));
});

test('a burst fills every slot of every cluster, and what is left waits centrally', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.1, azure: 0.3 });
  for (const [cluster, slots] of [
    ['aws', 4],
    ['gcp', 2],
    ['azure', 3],
  ] as const)
    world.agent(cluster, { slots });
  await world.scheduler();
  await Promise.all(Array.from({ length: 60 }, (_, n) => world.submit(`r${n}`)));
  const jobs = await until('nine jobs', async () => {
    const found = await world.jobs();
    return found.length >= 9 && found;
  });
  const perCluster = Map.groupBy(jobs, (subject) => subject.split('.')[2]);
  assert.deepEqual(Object.fromEntries([...perCluster].map(([cluster, list]) => [cluster, list.length])), {
    aws: 4,
    gcp: 2,
    azure: 3,
  });
  // A job is published before its request is acknowledged, so the nine leave the queue a moment later.
  await until('51 requests wait', async () => (await world.count(streams.requests)) === 51);
  assert.equal((await world.jobs()).length, 9);
});

test('a freed slot is filled at once, the nearest deadline and the highest band first', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  const { scheduler } = await world.scheduler();
  await world.submit('first');
  const first = await aws.take();
  await world.submit('late', { deadlineAtMs: Date.now() + 50_000 });
  await world.submit('soon', { deadlineAtMs: Date.now() + 20_000 });
  await world.submit('batch', { priority: 'batch', deadlineAtMs: Date.now() + 10_000 });
  await world.submit('urgent', { priority: 'interactive' });
  await until('all to be held', () => scheduler.state.queue.size === 4);
  await aws.finish(first);
  const order: string[] = [];
  for (let n = 0; n < 4; n++) {
    const taken = await aws.take();
    order.push(taken.job.request.id);
    await aws.finish(taken);
  }
  assert.deepEqual(order, ['urgent', 'soon', 'late', 'batch']);
});

test('two schedulers at once never make two jobs of one request', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.1 });
  const agents = [world.agent('aws', { slots: 3 }), world.agent('gcp', { slots: 3 })];
  await Promise.all([world.scheduler('s1'), world.scheduler('s2')]);
  const runs = new Map<string, number>();
  let stop = false;
  const loops = agents.flatMap((agent) =>
    [1, 2, 3].map(async () => {
      while (!stop) {
        const taken = await agent.next(1_000);
        if (!taken || !(await agent.claim(taken))) continue;
        runs.set(taken.job.request.id, (runs.get(taken.job.request.id) ?? 0) + 1);
        await agent.finish(taken);
      }
    }),
  );
  await Promise.all(Array.from({ length: 80 }, (_, n) => world.submit(`r${n}`)));
  await until('all to have run', () => runs.size === 80, 15_000);
  stop = true;
  await Promise.all(loops);
  assert.deepEqual(
    [...runs.values()].filter((n) => n !== 1),
    [],
  );
  assert.equal(await world.count(streams.requests), 0);
  assert.equal(await world.count(streams.jobs), 0);
});

test('a scheduler that died between publishing a job and acknowledging the request leaves one job', async () => {
  await using world = await World.start({ aws: 0.09, gcp: 0.3 });
  world.agent('aws', { slots: 2 });
  world.agent('gcp', { slots: 2 });
  // With the message id of that attempt, and with none: the guard must hold after the duplicate window too.
  for (const [id, msgID] of [
    ['r1', 'r1.1'],
    ['r2', 'of-another-life'],
  ] as const) {
    await world.publishRequest(id, requestText(id), 'standard');
    const job = { v: 1, request: JSON.parse(requestText(id)), cluster: 'gcp', attempt: 1, queueMs: 0 };
    await world.nats.js.publish(subjects.job('gcp', id), JSON.stringify(job), { msgID });
  }
  const { scheduler } = await world.scheduler();
  await until('both to be acknowledged', async () => (await world.count(streams.requests)) === 0);
  assert.deepEqual((await world.jobs()).toSorted(), ['llm.job.gcp.r1', 'llm.job.gcp.r2']);
  await until('the ledger to know both', () => scheduler.state.ledger.size === 2);
});

test('a request that does not parse becomes a dead letter with an outcome, and does not come again', async () => {
  await using world = await World.start({ aws: 0.09 });
  await world.scheduler();
  await world.publishRequest('bad', '{"v":1,', 'standard');
  await world.submit('forged', { tenant: 'other' as never });
  for (const id of ['bad', 'forged']) {
    const ended = await world.ended(id);
    assert.equal(ended.outcome.status === 'failed' && ended.outcome.code, 'invalid_request');
    const letter = await world.nats.jsm.direct.getMessage(streams.deadLetters.name, {
      last_by_subj: subjects.deadLetter('invalid_request', id),
    });
    assert.equal(letter?.header.get('Drover-Reason'), 'invalid_request');
  }
  await until('the stream to be empty', async () => (await world.count(streams.requests)) === 0);
  assert.equal(await world.count(streams.deadLetters), 2);
});

test('an unknown model ends the request and tells its reader; an alias runs under the name', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  await world.models('m1');
  await world.scheduler();
  const heard = firstReply(world, 'r1');
  await world.submit('r1', {
    body: { model: 'nonsense', messages: [{ role: 'user', content: 'x' }] },
  } as never);
  const end = await heard;
  assert.equal(end.k === 'end' && end.outcome.status === 'failed' && end.outcome.code, 'model_not_found');
  const ended = await world.ended('r1');
  assert.equal(ended.attempt, 0);
  assert.equal((await world.decision('r1')).kind, 'reject');
  await world.submit('r2', {
    body: { model: 'm1-alias', messages: [{ role: 'user', content: 'x' }] },
  } as never);
  const taken = await aws.take();
  assert.equal(taken.job.request.body.model, 'm1');
});

test('a request whose deadline passes while it waits ends with deadline_exceeded and never runs', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  await world.scheduler();
  await world.submit('first');
  await aws.take();
  await world.submit('r1', { deadlineAtMs: Date.now() + 400 });
  await world.submit('expired-before', { deadlineAtMs: Date.now() - 1 });
  for (const id of ['r1', 'expired-before']) {
    const { outcome } = await world.ended(id, 2_000);
    assert.equal(outcome.status === 'failed' && outcome.code, 'deadline_exceeded');
  }
  const { outcome } = await world.ended('r1');
  assert.match(outcome.status === 'failed' ? outcome.message : '', /aws: 1 jobs, 1 slots/);
  assert.deepEqual(await world.jobs(), ['llm.job.aws.first']);
  await until('the stream to be empty', async () => (await world.count(streams.requests)) === 0);
});

test('a cancel ends a request that waits, one that is assigned, and one beyond the planning window', async () => {
  await using world = await World.start({ aws: 0.09 });
  const aws = world.agent('aws', { slots: 1 });
  await world.submit('assigned');
  const { scheduler, stop } = await world.scheduler();
  await until('the job', async () => (await world.jobs()).length === 1);
  await world.submit('waits');
  await until('it to be held', () => scheduler.state.queue.get('waits' as never));
  for (const id of ['assigned', 'waits']) cancel(world, id);
  for (const id of ['assigned', 'waits'])
    assert.equal((await world.ended(id)).outcome.status, 'cancelled', id);
  await until('nothing to be left', async () => (await world.count(streams.requests)) === 0);
  await until('no job to be left', async () => (await world.jobs()).length === 0);

  await world.submit('runs');
  const runs = await aws.take();
  await Promise.all(Array.from({ length: 300 }, (_, n) => world.submit(`q${String(n).padStart(3, '0')}`)));
  await until('the window to be full', () => scheduler.state.queue.size === 256);
  const beyond = await until('one that is not held', () => {
    const ids = Array.from({ length: 300 }, (_, n) => `q${String(n).padStart(3, '0')}`);
    return ids.find((id) => !scheduler.state.queue.get(id as never));
  });
  cancel(world, beyond);
  assert.equal((await world.ended(beyond)).outcome.status, 'cancelled');
  await until('it to leave the stream', async () => (await world.count(streams.requests)) === 299);
  cancel(world, 'runs');
  await aws.finish(runs, { status: 'cancelled', units: 1 });
  assert.equal((await world.ended('runs')).outcome.status, 'cancelled');
  await stop();
});

function cancel(world: World, id: string): void {
  world.nats.nc.publish(
    subjects.cancel('t1', id),
    JSON.stringify({ v: 1, type: 'cancel', tenant: 't1', id }),
  );
}

function firstReply(world: World, id: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    world.nats.nc.subscribe(subjects.reply('*', 't1', id), {
      max: 1,
      callback: (_, message) => {
        const parsed = parseMessage(reply, message.data);
        if (parsed.ok) resolve(parsed.value);
        else reject(new Error(parsed.problem));
      },
    });
  });
}

const requestText = (id: string): string =>
  JSON.stringify({
    v: 1,
    id,
    tenant: 't1',
    priority: 'standard',
    submittedAtMs: Date.now(),
    deadlineAtMs: Date.now() + 60_000,
    endpoint: 'chat',
    body: { model: 'm1', messages: [{ role: 'user', content: 'hello' }] },
  });
