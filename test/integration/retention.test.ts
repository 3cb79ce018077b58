import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { follow } from '@drover/client';
import type { Nats } from '@drover/runtime';
import {
  agentId,
  defaultRetention,
  type Event,
  type Reply,
  requestId,
  streams,
  subjects,
  tenantId,
} from '@drover/schemas';
import { provision } from '../../apps/scheduler/src/bootstrap/provision.ts';
import { ensureVolatileStreams } from '../../apps/scheduler/src/nats/volatile-streams.ts';
import { connectTo } from '../support/hub.ts';
import { startNatsServer, type TestServer } from '../support/nats-server.ts';

let server: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  server = await startNatsServer();
  nats = await connectTo(server.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const deployment = { clusters: ['c1'], replicas: 1, seeds: [] };
const configOf = async (name: string) => (await nats.jsm.streams.info(name)).config;
const hoursOf = async (name: string) => Number((await configOf(name)).max_age) / 3.6e12;

const program = fileURLToPath(new URL('../../apps/scheduler/src/bootstrap.ts', import.meta.url));
function bootstrap(env: Record<string, string>): Promise<{ code: number; told: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; told: string }>();
  const all = { NATS_URL: server.url, CLUSTERS: 'c1', LOG_LEVEL: 'fatal', ...env };
  execFile(process.execPath, [program], { env: all, timeout: 30_000 }, (error, _out, told) =>
    resolve({ code: error === null ? 0 : Number(error.code), told }),
  );
  return promise;
}

test('bootstrap brings streams to the retention that is chosen, at the first run and at any later one', async () => {
  assert.deepEqual(await bootstrap({}), { code: 0, told: '' });
  assert.equal(await hoursOf(streams.events.name), 24);
  assert.equal(await hoursOf(streams.ledger.name), 32 * 24);
  const chosen = {
    REPLIES_KEPT_MINUTES: '1',
    REPLIES_MAX_MIB: '64',
    EVENTS_KEPT_HOURS: '48',
    DECISIONS_KEPT_HOURS: '2',
    LEDGER_KEPT_DAYS: '60',
    DEAD_LETTERS_KEPT_DAYS: '30',
  };
  assert.deepEqual(await bootstrap(chosen), { code: 0, told: '' });
  assert.equal(await hoursOf(streams.events.name), 48);
  assert.equal(await hoursOf(streams.decisions.name), 2);
  assert.equal(await hoursOf(streams.ledger.name), 60 * 24);
  assert.equal(await hoursOf(streams.deadLetters.name), 30 * 24);
  assert.equal(await hoursOf(streams.replies.name), 1 / 60);
  assert.equal((await configOf(streams.replies.name)).max_bytes, 64 * 1024 * 1024);
});

test('bootstrap refuses a retention that breaks a promise, and changes nothing', async () => {
  await bootstrap({});
  const { code, told } = await bootstrap({ EVENTS_KEPT_HOURS: '1', LEDGER_KEPT_DAYS: '7' });
  assert.equal(code, 78);
  assert.match(told, /^config: EVENTS_KEPT_HOURS: events_shorter_than_deadline: .+$/m);
  assert.match(told, /^config: LEDGER_KEPT_DAYS: ledger_shorter_than_month: .+$/m);
  assert.equal(await hoursOf(streams.events.name), 24);
});

test('a stream that a scheduler has to make again has the retention of the deployment', async () => {
  await provision(nats, { ...deployment, retention: { ...defaultRetention, repliesMs: 3_600_000 } });
  await ensureVolatileStreams(nats);
  assert.equal(await hoursOf(streams.replies.name), 1);
  await nats.jsm.streams.delete(streams.replies.name);
  await ensureVolatileStreams(nats);
  assert.equal(await hoursOf(streams.replies.name), 1);
});

test('a reader that comes after the retention is told that the reply is gone', async () => {
  const tenant = tenantId.parse('t1');
  const id = requestId.parse('req_old');
  await provision(nats, { ...deployment, retention: { ...defaultRetention, repliesMs: 1_000 } });
  const claimed: Event = { v: 1, state: 'running', agent: agentId.parse('a1'), attempt: 1, atMs: 1 };
  const { seq: f } = await nats.js.publish(subjects.event('c1', tenant, id), JSON.stringify(claimed));
  const said: Reply[] = [
    {
      v: 1,
      k: 'open',
      f,
      i: 0,
      mode: 'tokens',
      attempt: 1,
      cluster: 'c1',
      model: 'm',
      modelHash: 'h',
      queueMs: 0,
      backendMs: 0,
    },
    { v: 1, k: 'tokens', f, i: 0, ids: [1, 2], t: ['Hel', 'lo'] },
  ];
  for (const reply of said) await nats.js.publish(subjects.reply('c1', tenant, id), JSON.stringify(reply));
  const ended: Event = {
    v: 1,
    state: 'ended',
    attempt: 1,
    atMs: Date.now() - 120_000,
    outcome: { status: 'done', finish: 'stop', units: 2 },
  };
  await nats.js.publish(subjects.event('c1', tenant, id), JSON.stringify(ended));
  const untilMs = Date.now() + 10_000;
  while ((await nats.jsm.streams.info(streams.replies.name)).state.messages > 0) {
    assert.ok(Date.now() < untilMs, 'the replies are not dropped');
    await sleep(50);
  }
  const heard = [];
  for await (const event of follow(nats, { tenant, id }).events) heard.push(event);
  assert.equal(heard.length, 1);
  const [end] = heard;
  assert.ok(end?.kind === 'end' && end.outcome.status === 'failed');
  assert.equal(end.outcome.code, 'gone');
});
