import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Nats } from '@drover/runtime';
import {
  agentId,
  clusterId,
  type Event,
  type Job,
  jobConsumer,
  type Reply,
  streams,
  subjects,
  type Unit,
} from '@drover/schemas';
import {
  assign,
  type Bed,
  deadLettersOf,
  eventsOf,
  eventually,
  hasJob,
  jobFor,
  listen,
  newId,
  startBed,
  statesOf,
  tenant,
} from '../../apps/agent/testing/bed.ts';
import { readPrompt, replyText, replyToken } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';
import { startProxy } from '../support/proxy.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(['c1', 'c2', 'c3', 'c4', 'c5']);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const emojiEvery = 7;
const outcomes = ({ id }: { id: string }) => eventsOf(nats, id);

/** What an owner that died has left behind: its claim, and so many units of the reply. */
async function leaveBehind(
  job: Job,
  units: readonly Unit[],
  change: { modelHash: string; mode?: 'tokens' | 'deltas' },
): Promise<void> {
  const { id } = job.request;
  const claimed: Event = { v: 1, state: 'running', agent: agentId.parse('gone'), attempt: 1, atMs: 0 };
  const { seq: f } = await nats.js.publish(subjects.event('gone', tenant, id), JSON.stringify(claimed));
  const mode = change.mode ?? 'tokens';
  const said: Reply[] = [
    {
      v: 1,
      k: 'open',
      f,
      i: 0,
      mode,
      attempt: 1,
      cluster: 'gone',
      model: 'm',
      modelHash: change.modelHash,
      queueMs: 0,
      backendMs: 0,
    },
  ];
  if (units.length > 0) {
    said.push(
      mode === 'tokens'
        ? {
            v: 1,
            k: 'tokens',
            f,
            i: 0,
            ids: units.map((unit) => (unit.k === 'token' ? unit.id : 0)),
            t: units.map((unit) => (unit.k === 'token' ? unit.t : '')),
          }
        : {
            v: 1,
            k: 'deltas',
            f,
            i: 0,
            d: units.map((unit) => (unit.k === 'delta' ? [...unit.choices] : [])),
          },
    );
  }
  for (const reply of said) await nats.js.publish(subjects.reply('gone', tenant, id), JSON.stringify(reply));
}

const hashOf = (bed: Bed): string => bed.reports.at(-1)?.model?.hash ?? '';

test('a continuation from any point equals the uninterrupted answer, emoji included', async () => {
  await using bed = await startBed(hub.url, 'c1', { fake: { emojiEvery } });
  const prompt = 'say it again';
  const whole = Array.from({ length: 20 }, (_, at): Unit => {
    const { id, text } = replyToken(readPrompt(prompt), at, emojiEvery);
    return { k: 'token', id, t: text };
  });
  for (let cut = 0; cut <= 20; cut++) {
    // Nobody stops where text is held back.
    if (cut > 0 && cut % emojiEvery > emojiEvery - 3) continue;
    const job = jobFor('c1', { prompt, tokens: 20, attempt: 2 });
    const ear = await listen(nats, job.request.id);
    await leaveBehind(job, whole.slice(0, cut), { modelHash: hashOf(bed) });
    await assign(nats, job);
    const outcome = await ear.ended();
    assert.equal(ear.text, replyText(prompt, 20, emojiEvery), `cut at ${cut}`);
    assert.deepEqual(ear.transcript.units, whole.slice(0, ear.transcript.units.length));
    assert.equal(outcome.usage?.promptTokens, prompt.length);
    assert.equal(outcome.usage?.completionTokens, 20);
    assert.equal(bed.fake.counters.tokens, cut === 20 ? 0 : 20 - cut);
    bed.fake.counters.tokens = 0;
  }
});

test('another model, or chunks that were already shown, cannot be continued', async () => {
  await using bed = await startBed(hub.url, 'c1');
  const one: Unit[] = [{ k: 'token', id: 1_000_000, t: ' a0' }];
  const otherModel = jobFor('c1', { attempt: 2 });
  const ear = await listen(nats, otherModel.request.id);
  await leaveBehind(otherModel, one, { modelHash: 'another' });
  await assign(nats, otherModel);
  const outcome = await ear.ended();
  assert.equal(outcome.status === 'failed' && outcome.code, 'continuation_impossible');

  const body = { model: 'm', prompt: 'x', stream: true, logprobs: 1, max_tokens: 3 };
  const shown = jobFor('c1', { attempt: 2, body });
  const shownEar = await listen(nats, shown.request.id);
  await leaveBehind(shown, [{ k: 'delta', choices: [{}] }], { modelHash: hashOf(bed), mode: 'deltas' });
  await assign(nats, shown);
  const shownOutcome = await shownEar.ended();
  assert.equal(shownOutcome.status === 'failed' && shownOutcome.code, 'continuation_impossible');

  const unshown = jobFor('c1', { attempt: 2, body });
  const unshownEar = await listen(nats, unshown.request.id);
  await leaveBehind(unshown, [], { modelHash: 'another', mode: 'deltas' });
  await assign(nats, unshown);
  assert.equal((await unshownEar.ended()).status, 'done');
});

test('a backend that dies in mid-answer costs nothing: the job is released, and another cluster goes on', async () => {
  await using first = await startBed(hub.url, 'c1', { fake: { tokenMs: 2 } });
  await using second = await startBed(hub.url, 'c2', { fake: { tokenMs: 2 } });
  first.fake.faults.killAfterTokens = 8;
  const job = jobFor('c1', { prompt: 'move me', tokens: 20 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(async () =>
    assert.deepEqual(await statesOf(nats, job.request.id), ['running', 'released']),
  );
  assert.equal(await hasJob(nats, job), true);
  const released = (await outcomes(job.request)).at(-1)?.event;
  assert.equal(released?.state === 'released' && released.reason, 'backend-failed');
  const saidByFirst = ear.transcript.units.length;
  assert.ok(saidByFirst > 0 && saidByFirst <= 8);

  await assign(nats, { ...job, cluster: clusterId.parse('c2'), attempt: 2 });
  assert.equal((await ear.ended()).units, 20);
  assert.equal(ear.text, replyText('move me', 20));
  assert.equal(second.fake.counters.tokens, 20 - saidByFirst);
});

test('a released job that nobody moves is delivered here again, and continued', async () => {
  await using bed = await startBed(hub.url, 'c3', { fake: { tokenMs: 2 } });
  bed.fake.faults.killAfterTokens = 5;
  const job = jobFor('c3', { prompt: 'once more', tokens: 12 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(async () =>
    assert.deepEqual(await statesOf(nats, job.request.id), ['running', 'released']),
  );
  bed.fake.faults.killAfterTokens = undefined;
  await ear.ended(10_000);
  assert.equal(ear.text, replyText('once more', 12));
  assert.deepEqual(await statesOf(nats, job.request.id), ['running', 'released', 'running', 'ended']);
});

test('an owner that lost its request says no end and acks nothing', async () => {
  await using bed = await startBed(hub.url, 'c4', { fake: { tokenMs: 10 } });
  const job = jobFor('c4', { tokens: 20 });
  const { id } = job.request;
  const ear = await listen(nats, id);
  await assign(nats, job);
  await eventually(() => assert.ok(ear.transcript.units.length > 1));
  const thief: Event = { v: 1, state: 'running', agent: agentId.parse('thief'), attempt: 2, atMs: 0 };
  await nats.js.publish(subjects.event('c5', tenant, id), JSON.stringify(thief));
  await eventually(() => assert.equal(bed.reports.at(-1)?.inFlight.length, 0));
  assert.equal(ear.transcript.outcome, undefined);
  assert.equal(await hasJob(nats, job), true);
  const { num_ack_pending } = await nats.jsm.consumers.info(streams.jobs.name, jobConsumer('c4').name);
  assert.equal(num_ack_pending, 1);
  assert.deepEqual(await statesOf(nats, id), ['running', 'running']);
  await nats.jsm.streams.purge(streams.jobs.name, { filter: subjects.job('c4', id) });
});

test('of five agents that claim one request at once, exactly one commits', async () => {
  const names = ['c1', 'c2', 'c3', 'c4', 'c5'];
  const beds = await Promise.all(names.map((name) => startBed(hub.url, name, { fake: { tokenMs: 3 } })));
  try {
    const id = newId();
    const ear = await listen(nats, id);
    await Promise.all(names.map((name) => assign(nats, jobFor(name, { id, prompt: 'race', tokens: 15 }))));
    await ear.ended();
    assert.equal(ear.text, replyText('race', 15));
    await eventually(() => assert.ok(beds.every((bed) => bed.reports.at(-1)?.inFlight.length === 0)));
    const states = await statesOf(nats, id);
    assert.equal(states.filter((state) => state === 'ended').length, 1);
    assert.equal(states.at(-1), 'ended');
    const ends = ear.replies.filter(({ k }) => k === 'end');
    assert.equal(ends.length, 1);
    assert.deepEqual(await deadLettersOf(nats, 'attempts_exhausted', id), []);
  } finally {
    for (const bed of beds) await bed[Symbol.asyncDispose]();
    await nats.jsm.streams.purge(streams.jobs.name);
  }
});

test('a drain lets short jobs finish, gives long ones back, and takes no more', async () => {
  const bed = await startBed(hub.url, 'c4', { fake: { slots: 3, tokenMs: 5 }, env: { DRAIN_MS: '400' } });
  const short = jobFor('c4', { prompt: 'short', tokens: 20 });
  const long = jobFor('c4', { prompt: 'long', tokens: 1_000 });
  const shortEar = await listen(nats, short.request.id);
  const longEar = await listen(nats, long.request.id);
  await assign(nats, short);
  await assign(nats, long);
  await eventually(() => assert.equal(bed.fake.counters.busy, 2));
  const stopping = bed.agent.stop();
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'draining'));
  const late = jobFor('c4', {});
  await assign(nats, late);
  await stopping;
  assert.equal((await shortEar.ended()).status, 'done');
  const released = (await outcomes(long.request)).at(-1)?.event;
  assert.equal(released?.state === 'released' && released.reason, 'draining');
  assert.equal(longEar.transcript.outcome, undefined);
  assert.equal(await hasJob(nats, long), true);
  assert.equal(await hasJob(nats, late), true);
  assert.deepEqual(await statesOf(nats, late.request.id), []);
  assert.equal(bed.fake.counters.busy, 0);
  await bed[Symbol.asyncDispose]();
  await nats.jsm.streams.purge(streams.jobs.name);
});

test('what was said while the link was cut is said again when it is back', async () => {
  await using proxy = await startProxy(hub.port);
  await using bed = await startBed(`nats://127.0.0.1:${proxy.port}`, 'c5', { fake: { tokenMs: 5 } });
  const job = jobFor('c5', { prompt: 'cut', tokens: 200 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(() => assert.ok(ear.transcript.units.length > 5));
  proxy.cut();
  await eventually(() => assert.ok(bed.fake.counters.tokens > 60));
  const heard = ear.transcript.units.length;
  assert.ok(heard < 60, `${heard} units were heard through a cut link`);
  proxy.heal();
  assert.equal((await ear.ended(10_000)).status, 'done');
  assert.equal(ear.text, replyText('cut', 200));
  await eventually(async () => assert.equal(await hasJob(nats, job), false));
});

test('an owner that was replaced behind a cut link falls silent when it is back', async () => {
  await using proxy = await startProxy(hub.port);
  await using bed = await startBed(`nats://127.0.0.1:${proxy.port}`, 'c5', { fake: { tokenMs: 5 } });
  const job = jobFor('c5', { tokens: 2_000 });
  const { id } = job.request;
  const ear = await listen(nats, id);
  await assign(nats, job);
  await eventually(() => assert.ok(ear.transcript.units.length > 5));
  proxy.cut();
  const thief: Event = { v: 1, state: 'running', agent: agentId.parse('thief'), attempt: 2, atMs: 0 };
  await nats.js.publish(subjects.event('c1', tenant, id), JSON.stringify(thief));
  await nats.nc.flush();
  proxy.heal();
  await eventually(() => assert.equal(bed.fake.counters.busy, 0), 8_000);
  assert.equal(ear.transcript.outcome, undefined);
  assert.deepEqual(await statesOf(nats, id), ['running', 'running']);
});
