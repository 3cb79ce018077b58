import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLogger, Lease, type Nats, publishFenced } from '@drover/runtime';
import { buckets, natsHeaders } from '@drover/schemas';
import fc from 'fast-check';
import { nuid } from 'nats';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';
import { startProxy } from '../support/proxy.ts';

const program = fileURLToPath(new URL('../support/lease-holder.ts', import.meta.url));
const log = createLogger('test', 'silent');
let hub: TestServer;
let nats: Nats & AsyncDisposable;

before(async () => {
  hub = await startHub([]);
  nats = await connectTo(hub.url);
  await nats.jsm.streams.add({ name: 'ACTS', subjects: ['acts.log'], allow_direct: true });
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function until(what: string, condition: () => boolean, withinMs = 5_000): Promise<number> {
  const startedMs = performance.now();
  while (!condition()) {
    assert.ok(performance.now() - startedMs < withinMs, `${what}: not within ${withinMs} ms`);
    await sleep(5);
  }
  return performance.now() - startedMs;
}

const leaseOf = (connection: Nats, duty: string, holder: string, more: { nowMs?: () => number } = {}) =>
  new Lease({ nats: connection, log, duty, holder, ttlSeconds: 1, ...more });

test('one of several gets the lease, keeps it beyond its life, and hands it over at once when it stops', async () => {
  const leases = ['a', 'b', 'c'].map((holder) => leaseOf(nats, 'handover', holder));
  for (const lease of leases) lease.start();
  const holders = () => leases.filter(({ token }) => token !== null);
  await until('a holder', () => holders().length > 0);
  const [first] = holders();
  const token = first?.token;
  assert.ok(first && token !== undefined && token !== null);
  const keptUntilMs = performance.now() + 2_500;
  while (performance.now() < keptUntilMs) {
    assert.deepEqual(holders(), [first]);
    assert.equal(first.token, token, 'renewing must not change the fence');
    await sleep(20);
  }
  await first.stop();
  assert.equal(first.token, null);
  const tookMs = await until('the next holder', () => holders().length > 0, 1_000);
  console.log(`# handed over in ${tookMs.toFixed(0)} ms`);
  assert.ok(tookMs < 200, `handed over only after ${tookMs} ms`);
  assert.ok((holders()[0]?.token ?? 0) > token, 'the fence of a later holder is higher');
  for (const lease of leases) await lease.stop();
});

test('a holder that cannot reach the server stops acting before another one may, and is refused by the fence', async () => {
  await using proxy = await startProxy(hub.port);
  await using cutOff = await connectTo(`nats://127.0.0.1:${proxy.port}`);
  const first = leaseOf(cutOff, 'cut', 'first');
  first.start();
  await until('the first holder', () => first.token !== null);
  const stale = first.token ?? 0;
  const second = leaseOf(nats, 'cut', 'second');
  second.start();
  proxy.freeze();
  await until('the takeover', () => {
    assert.ok(first.token === null || second.token === null, 'two holders at once');
    return second.token !== null;
  });
  const subject = `$KV.${buckets.policy.name}.${nuid.next()}`;
  const stream = `KV_${buckets.policy.name}`;
  assert.ok(await publishFenced(nats, stream, subject, 'second', second.token ?? 0));
  proxy.thaw();
  assert.equal(await publishFenced(cutOff, stream, subject, 'first', stale), null);
  assert.ok(await publishFenced(nats, stream, subject, 'second again', second.token ?? 0));
  await first.stop();
  await second.stop();
});

test('a holder whose clock ran on while it was paused has no token when it looks', async () => {
  let pausedMs = 0;
  const lease = leaseOf(nats, 'paused', 'a', { nowMs: () => performance.now() + pausedMs });
  lease.start();
  await until('the holder', () => lease.token !== null);
  pausedMs = 950;
  assert.equal(lease.token, null);
  await lease.stop();
});

test('a lease survives a restart of the server, or is won again with a higher fence', async () => {
  const lease = leaseOf(nats, 'restart', 'a');
  lease.start();
  await until('the holder', () => lease.token !== null);
  const before = lease.token ?? 0;
  await hub.restart();
  // Longer than its life: what it has then it has from the new server.
  const restartedMs = performance.now();
  await until(
    'the holder again',
    () => performance.now() > restartedMs + 1_500 && lease.token !== null,
    10_000,
  );
  assert.ok((lease.token ?? 0) >= before);
  await lease.stop();
});

type Holder = { readonly child: ChildProcess; readonly words: string[] };

function startHolder(name: string): Holder {
  const child = spawn(process.execPath, [program, hub.url, name, '1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const words: string[] = [];
  child.stdout?.on('data', (data: Buffer) => void words.push(...data.toString().trim().split('\n')));
  return { child, words };
}

const hasToken = ({ words }: Holder): boolean =>
  words.findLast((word) => word === 'lost' || word.startsWith('token '))?.startsWith('token ') ?? false;

test('after a SIGKILL of the holder another process has the lease within its life and a second', async () => {
  const holders = [startHolder('k1'), startHolder('k2')];
  try {
    await until('a holder', () => holders.some(hasToken), 10_000);
    await until('both to be ready', () => holders.every(({ words }) => words.includes('ready')), 10_000);
    const holder = holders.find(hasToken);
    const other = holders.find((one) => one !== holder);
    assert.ok(holder && other);
    holder.child.kill('SIGKILL');
    const tookMs = await until('the takeover', () => hasToken(other), 3_000);
    console.log(`# taken over ${tookMs.toFixed(0)} ms after the kill, life 1000 ms`);
    assert.ok(tookMs <= 2_000, `taken over only after ${tookMs} ms`);
  } finally {
    for (const { child } of holders) child.kill('SIGKILL');
  }
});

const misfortune = fc.record({
  who: fc.integer({ min: 0, max: 2 }),
  what: fc.constantFrom('pause', 'kill', 'stop'),
  afterMs: fc.integer({ min: 0, max: 600 }),
  forMs: fc.integer({ min: 200, max: 1_800 }),
});

test('whoever is paused, killed or stopped, no write of an earlier holder follows one of a later holder', async () => {
  let writes = 0;
  let takeovers = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(misfortune, { minLength: 3, maxLength: 5 }), async (misfortunes) => {
      await nats.jsm.streams.purge('ACTS');
      const holders = [0, 1, 2].map((n) => startHolder(`h${n}`));
      try {
        await until('a holder', () => holders.some(hasToken), 10_000);
        for (const [n, { who, what, afterMs, forMs }] of misfortunes.entries()) {
          await sleep(afterMs);
          // The one that has the lease is the one that can do harm.
          const at = Math.max(holders.findIndex(hasToken), what === 'pause' ? -1 : who);
          const { child } = holders[Math.max(0, at)] ?? startHolder('none');
          if (what === 'pause') {
            child.kill('SIGSTOP');
            await sleep(forMs);
            child.kill('SIGCONT');
          } else {
            child.kill(what === 'kill' ? 'SIGKILL' : 'SIGTERM');
            holders[Math.max(0, at)] = startHolder(`again${n}`);
          }
        }
        // However that went: who comes after all of them writes, too.
        const before = await writtenAfter(0);
        for (const { child } of holders) child.kill('SIGKILL');
        holders.push(startHolder('heir'));
        await writtenAfter(before);
      } finally {
        for (const { child } of holders) child.kill('SIGKILL');
      }
      const acts = await readActs();
      writes += acts.length;
      takeovers += new Set(acts.map(({ token }) => token)).size - 1;
      const holderOf = new Map<number, string>();
      for (const [n, { token, holder }] of acts.entries()) {
        assert.ok(n === 0 || token >= (acts[n - 1]?.token ?? 0), 'an earlier holder wrote after a later one');
        assert.equal(holderOf.get(token) ?? holder, holder, 'two processes had the same fence');
        holderOf.set(token, holder);
      }
    }),
    { numRuns: 3 },
  );
  console.log(`# ${writes} fenced writes over ${takeovers} takeovers`);
  assert.ok(takeovers > 0);
});

/** Waits until somebody has written with a higher token than `token`; the highest one. */
async function writtenAfter(token: number): Promise<number> {
  const giveUpAtMs = Date.now() + 10_000;
  while (Date.now() < giveUpAtMs) {
    const highest = Math.max(0, ...(await readActs()).map((act) => act.token));
    if (highest > token) return highest;
    await sleep(50);
  }
  throw new Error(`nobody wrote after token ${token} within 10 s`);
}

async function readActs(): Promise<{ token: number; holder: string }[]> {
  const info = await nats.jsm.consumers.add('ACTS', {
    name: nuid.next(),
    ack_policy: 'none',
    inactive_threshold: 10e9,
  });
  if (info.num_pending === 0) return [];
  const acts: { token: number; holder: string }[] = [];
  const messages = await nats.js.consumers
    .getConsumerFromInfo(info)
    .fetch({ max_messages: info.num_pending, expires: 5_000 });
  for await (const message of messages) {
    acts.push({ token: Number(message.headers?.get(natsHeaders.fence)), holder: message.string() });
    if (acts.length === info.num_pending) break;
  }
  return acts;
}
