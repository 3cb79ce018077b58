import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import {
  createLogger,
  createRegistry,
  EventLog,
  ensureBucket,
  ensureConsumer,
  ensureStream,
  type Nats,
} from '@drover/runtime';
import {
  agentId,
  buckets,
  consumersFor,
  defaultRetention,
  policyKeys,
  type StreamDefinition,
  streams,
  subjects,
  withRetention,
} from '@drover/schemas';
import { JetStreamApiError } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { Registry } from 'prom-client';
import { z } from 'zod';
import { eventually, startBed, statesOf } from '../../apps/agent/testing/bed.ts';
import { readConfig } from '../../apps/ingress/src/config.ts';
import { keyedRequestId } from '../../apps/ingress/src/core/request-id.ts';
import { buildServer } from '../../apps/ingress/src/http/server.ts';
import { createMetrics } from '../../apps/scheduler/src/metrics.ts';
import { startScheduler } from '../../apps/scheduler/src/start.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo } from '../support/hub.ts';
import { apiKey, errorOf, keysFileOf, models } from '../support/ingress.ts';
import { startNatsServer } from '../support/nats-server.ts';

const cluster = 'c1';
const quiet = createLogger('test', 'fatal');
const mib = 2 ** 20;

test('while the store is full nothing new is accepted, and all that was accepted ends once when there is room', async () => {
  await using place = await startPlace();
  const { nats, bed } = place;
  const states = (key: string) => statesOf(nats, keyedRequestId('completion', 't1', key));
  const measured = bed.fake.counters.generations;
  const running = place.ask('running', 150);
  await eventually(() => assert.equal(bed.fake.counters.busy, 1));
  const queued = [place.ask('queued-1', 5), place.ask('queued-2', 5)];
  await eventually(async () =>
    assert.equal((await nats.jsm.streams.info(streams.requests.name)).state.messages, 2),
  );

  const makeRoom = await fillStore(nats);
  const firstMs = performance.now();
  for (const refused of ['refused-1', 'refused-2']) {
    const response = await place.ask(refused, 5);
    assert.equal(response.status, 503);
    assert.ok(Number(response.headers.get('retry-after')) >= 1);
    assert.equal((await errorOf(response)).code, 'unavailable');
  }
  assert.ok(performance.now() - firstMs < 4_000, 'a refusal does not wait');
  await eventually(() => assert.equal(bed.fake.counters.busy, 0), 10_000);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assert.deepEqual(await states('running'), ['running'], 'the outcome cannot be written');
  await place.replaceScheduler();

  await makeRoom();
  const answers = await Promise.all([running, ...queued, place.ask('afterwards', 5)]);
  const texts = await Promise.all(answers.map(textOf));
  const tokens = [150, 5, 5, 5];
  assert.deepEqual(
    texts,
    tokens.map((count) => replyText('hello', count)),
  );
  for (const id of ['running', 'queued-1', 'queued-2', 'afterwards'])
    assert.deepEqual(await states(id), ['running', 'ended'], id);
  for (const id of ['refused-1', 'refused-2']) assert.deepEqual(await states(id), [], id);
  assert.equal(bed.fake.counters.generations - measured, 4, 'nothing was computed twice');
  await eventually(async () => {
    for (const [{ name }, messages] of [
      [streams.requests, 0],
      [streams.jobs, 0],
      [streams.settlement, 0],
      [streams.ledger, 4],
    ] as const)
      assert.equal((await nats.jsm.streams.info(name)).state.messages, messages, name);
  }, 15_000);
  // Who comes back for an answer that was said while nothing could be stored gets all of it.
  assert.equal(await textOf(await place.ask('running', 150)), replyText('hello', 150));
});

test('a queue that has all the room it may have refuses with queue_full, and the store is not full', async () => {
  await using place = await startPlace({ scheduler: false });
  const { config } = await place.nats.jsm.streams.info(streams.requests.name);
  await place.nats.jsm.streams.update(streams.requests.name, { ...config, max_bytes: 4_096 });
  const leave = new AbortController();
  const asked = Array.from({ length: 20 }, (_, index) => place.ask(`waiting-${index}`, 5, leave.signal));
  const refused = await Promise.race(asked);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  assert.equal((await errorOf(refused)).code, 'queue_full');
  await place.nats.js.publish(subjects.report('c2', 'a'), 'anything');
  leave.abort();
  await Promise.allSettled(asked);
});

test('an event that there is no room for is written when there is: a claim or an outcome costs no delivery of its job', async () => {
  await using place = await startPlace({ scheduler: false });
  const { nats } = place;
  const makeRoom = await fillStore(nats);
  const claim = { v: 1, state: 'running', agent: agentId.parse('a'), attempt: 1, atMs: 0 } as const;
  let written: number | null | undefined;
  const writing = new EventLog(nats, 't1', 'claimed').write(cluster, claim, 0).then((seq) => {
    written = seq;
  });
  await Promise.race([writing, new Promise((resolve) => setTimeout(resolve, 1_000))]);
  assert.equal(written, undefined);
  await makeRoom();
  await writing;
  assert.ok(typeof written === 'number');
});

/** A whole Drover in this process with one slot, on a store so small that it can be filled. */
async function startPlace(options: { scheduler?: boolean } = {}) {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startNatsServer('', { maxFile: '16M' }));
  const nats = stack.use(await connectTo(server.url, 'admin'));
  const small = { ...defaultRetention, repliesBytes: mib, decisionsBytes: mib, deadLettersBytes: mib };
  for (const stream of Object.values(streams))
    await ensureStream(nats.jsm, withRetention({ ...stream, ...smallQueue(stream) }, small), 1);
  for (const consumer of consumersFor([cluster])) await ensureConsumer(nats.jsm, consumer);
  for (const bucket of Object.values(buckets)) await ensureBucket(nats.js, bucket, 1);
  const put = async (bucket: string, key: string, value: unknown) =>
    (await new Kvm(nats.js).open(bucket)).put(key, JSON.stringify(value));
  await put(buckets.prices.name, cluster, price);
  await put(buckets.policy.name, policyKeys.active, { v: 1, strategy: 'cost', exploration: 0 });
  await put(buckets.policy.name, policyKeys.models, models);

  const env = { BENCHMARK: 'on', MODEL_NAME: 'smol' };
  const bed = stack.use(await startBed(server.url, cluster, { fake: { tokenMs: 20, slots: 1 }, env }));
  const startOne = async (schedulerId: string) => {
    const own = await connectTo(server.url, schedulerId);
    const metrics = createMetrics(createRegistry('test'));
    const started = await startScheduler(own, { log: quiet, metrics, schedulerId });
    return () => started.stop().then(() => own.nc.close());
  };
  let stopScheduler = options.scheduler === false ? async () => {} : await startOne('s1');
  stack.defer(() => stopScheduler());

  const folder = mkdtempSync(join(tmpdir(), 'drover-full-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const keys = join(folder, 'keys.json');
  writeFileSync(keys, keysFileOf({ [apiKey]: 't1' }));
  const edge = stack.use(await connectTo(server.url, 'ingress'));
  const config = readConfig({ NATS_URL: server.url, HTTP_PORT: '0', API_KEYS_FILE: keys });
  const ingress = buildServer({ nats: edge, config, log: quiet, registry: new Registry() });
  stack.defer(() => ingress.stop());
  const url = await ingress.listen();

  const kept = stack.move();
  return {
    nats,
    bed,
    /** Asks in the name of `id`, so that it can be looked up by it. */
    ask: (id: string, tokens: number, signal?: AbortSignal) =>
      fetch(`${url}/v1/completions`, {
        method: 'POST',
        ...(signal ? { signal } : {}),
        headers: {
          authorization: `Bearer ${apiKey}`,
          'content-type': 'application/json',
          'idempotency-key': id,
        },
        body: JSON.stringify({ model: 'smol', prompt: 'hello', max_tokens: tokens }),
      }),
    replaceScheduler: async () => {
      await stopScheduler();
      stopScheduler = await startOne('s2');
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A limit on what waits, as deployed, but of this store's size. */
const smallQueue = ({ name }: StreamDefinition) => (name === streams.requests.name ? { maxBytes: mib } : {});

/** Takes all room there is, and what becomes free, until the function that it returns is called. */
async function fillStore(nats: Nats): Promise<() => Promise<void>> {
  await nats.jsm.streams.add({ name: 'BALLAST', subjects: ['ballast'] });
  const controller = new AbortController();
  const fill = async () => {
    for (let size = 256 * 1024; size > 16; ) {
      const refused = await nats.js.publish('ballast', new Uint8Array(size)).then(
        () => false,
        (error) => error instanceof JetStreamApiError,
      );
      if (refused) size /= 2;
    }
  };
  await fill();
  const filling = (async () => {
    while (!controller.signal.aborted) {
      await fill();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return async () => {
    controller.abort();
    await filling;
    await nats.jsm.streams.delete('BALLAST');
  };
}

const completion = z.object({ choices: z.array(z.object({ text: z.string() })) });

async function textOf(response: Response): Promise<string> {
  assert.equal(response.status, 200);
  return completion.parse(await response.json()).choices[0]?.text ?? '';
}

const price = { v: 1, usdPerHour: 0.1, market: 'on-demand', source: 'test', asOf: '2025-01-01T00:00:00Z' };
