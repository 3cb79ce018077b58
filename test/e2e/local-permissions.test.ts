import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { follow, submit } from '@drover/client';
import { type RequestInput, requestId, tenantId } from '@drover/schemas';
import { connectAs } from '../support/connect-as.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const post = (system: TestSystem, path: string, body: unknown, signal?: AbortSignal) =>
  fetch(`${system.url}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });

const get = (system: TestSystem, path: string) =>
  fetch(`${system.url}/v1/${path}`, { headers: { authorization: `Bearer ${system.apiKey}` } });

const chat = (more: object) => ({
  model: 'smollm2',
  messages: [{ role: 'user', content: 'hello' }],
  ...more,
});

test('whatever the apps and a producer do, the server never has to refuse them anything', async () => {
  await using system = await startTestSystem({
    fakeFlags: () => ['--token-ms', '10'],
    env: { ingress: { STOP_GRACE_MS: '500' } },
  });

  const answer = await post(system, 'chat/completions', chat({ max_tokens: 8 }));
  assert.equal(answer.status, 200);
  await answer.json();
  const id = answer.headers.get('x-request-id');
  assert.equal((await get(system, `decisions/${id}`)).status, 200);
  assert.equal((await get(system, `requests/${id}`)).status, 200);
  assert.equal((await post(system, 'embeddings', { model: 'smollm2', input: 'hi' })).status, 200);
  assert.equal((await post(system, 'chat/completions', chat({ model: 'nobody' }))).status, 404);

  const gone = new AbortController();
  const left = await post(system, 'chat/completions', chat({ stream: true, max_tokens: 500 }), gone.signal);
  await left.body?.getReader().read();
  gone.abort();

  // Its agent dies in the middle: another one reads what was said and continues.
  const survivor = await post(system, 'chat/completions', chat({ stream: true, max_tokens: 200 }));
  const agent = `agent-${survivor.headers.get('x-drover-cluster')}`;
  await system.kill(agent);
  assert.match(await survivor.text(), /data: \[DONE\]/);
  // The server comes back without its memory streams, and the scheduler makes them again.
  for (const part of ['scheduler', 'nats-server']) await system.kill(part);
  for (const part of ['nats-server', 'scheduler', agent]) await system.start(part);
  await produce(system);

  const violations = () =>
    readFileSync(join(system.stateDir, 'logs/nats-server.log'), 'utf8')
      .split('\n')
      .filter((line) => /Violation/.test(line));
  assert.deepEqual(violations(), []);
  // What was looked for would have been there.
  await using producer = await connectAs(system, 'producer-local');
  producer.nc.publish('llm.req.standard.somebody-else.r1');
  await producer.nc.flush();
  assert.equal(violations().length, 1);
});

/** Submits as a producer on NATS, reads the reply, and reads it once more from the start. */
async function produce(system: TestSystem): Promise<void> {
  await using nats = await connectAs(system, 'producer-local');
  const tenant = tenantId.parse('local');
  const id = requestId.parse('from-a-producer');
  const request: RequestInput = {
    v: 1,
    id,
    tenant,
    submittedAtMs: Date.now(),
    deadlineAtMs: Date.now() + 30_000,
    endpoint: 'chat',
    body: { model: 'smollm2', stream: true, max_tokens: 8, messages: [{ role: 'user', content: 'hello' }] },
  };
  for (const submission of [
    await submit(nats, request),
    await submit(nats, request),
    follow(nats, { tenant, id }),
  ]) {
    let last: unknown;
    for await (const event of submission.events) if (event.kind === 'end') last = event.outcome.status;
    assert.equal(last, 'done');
  }
}
