import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, test } from 'node:test';
import { type Answer, connectProducer, type Producer, submit } from '@drover/client';
import { EventLog, type Nats } from '@drover/runtime';
import { type Event, type Request, request, requestId, subjects, tenantId } from '@drover/schemas';
import { nuid } from 'nats';
import { localClusters, localTenant } from '../../infra/local/src/clusters.ts';
import { connectAs } from '../support/connect-as.ts';
import { replyText, template } from '../support/fake-llama-text.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const tokenMs = 20;
const tenant = tenantId.parse(localTenant);

let system: TestSystem;
let producer: Producer;
let admin: Nats & AsyncDisposable;
before(async () => {
  system = await startTestSystem({
    clusters: localClusters.slice(0, 1),
    fakeFlags: () => ['--token-ms', String(tokenMs), '--tokens', '30'],
  });
  producer = await connectProducer(options());
  admin = await connectAs(system, 'admin');
});
after(async () => {
  await producer?.close();
  await admin?.[Symbol.asyncDispose]();
  await system?.[Symbol.asyncDispose]();
});

const options = () => ({
  url: system.natsUrl,
  tenant: localTenant,
  nkeyFile: system.credential(`producer-${localTenant}`)?.nkeyFile ?? '',
  model: 'default',
});

const said = (prompt: string, count: number) =>
  replyText(template([{ role: 'user', content: prompt }]), count);
/** What the event log says of a request at the end; waits for it. */
async function endOf(id: string): Promise<Extract<Event, { state: 'ended' }>> {
  for (let turn = 0; turn < 500; turn++) {
    const last = await new EventLog(admin, tenant, id).last();
    if (last?.event.state === 'ended') return last.event;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail(`${id} has not ended`);
}
/** Reads until so many texts came, and leaves the loop. */
async function readSome(answer: Answer, count: number): Promise<string> {
  let text = '';
  let left = count;
  for await (const part of answer) {
    text += part;
    left--;
    if (left === 0) break;
  }
  return text;
}

test('a text is answered as a chat, token by token, and the outcome counts them', async () => {
  const answer = producer.submit('tell me');
  await answer.accepted;
  let parts = 0;
  let text = '';
  for await (const part of answer) {
    parts++;
    text += part;
  }
  assert.equal(text, said('tell me', 30));
  assert.equal(parts, 30);
  assert.equal(answer.nextUnit, 30);
  assert.equal(answer.open?.cluster, localClusters[0]?.id);
  const outcome = await answer.outcome;
  assert.ok(outcome.status === 'done' && outcome.units === 30 && outcome.usage?.completionTokens === 30);
});

test('messages and whole bodies reach the model as they are, and units carry the token ids', async () => {
  const messages = [
    { role: 'system' as const, content: 'be brief' },
    { role: 'user' as const, content: 'hello' },
  ];
  assert.equal(await producer.submit(messages).text(), replyText(template(messages), 30));
  assert.equal(
    await producer.submit({ prompt: 'once upon', max_tokens: 4 }).text(),
    replyText('once upon', 4),
  );
  const ids: number[] = [];
  for await (const unit of producer.submit({ prompt: 'ids', max_tokens: 3 }).units)
    if (unit.k === 'token') ids.push(unit.id);
  assert.equal(new Set(ids).size, 3);
});

test('the options are in the envelope, and the priority also in the subject', async () => {
  const heard = admin.nc.subscribe(subjects.request('*', localTenant, '*'), { max: 1 });
  await admin.nc.flush();
  const id = `req_${nuid.next()}`;
  const answer = producer.submit('x', { id, priority: 'batch', maxUsdPer1k: 5, deadlineMs: 20_000 });
  let envelope: Request | undefined;
  for await (const message of heard) {
    assert.equal(message.subject, subjects.request('batch', localTenant, id));
    envelope = request.parse(message.json());
  }
  assert.ok(envelope);
  assert.deepEqual([envelope.id, envelope.priority, envelope.maxUsdPer1k], [id, 'batch', 5]);
  assert.equal(envelope.deadlineAtMs - envelope.submittedAtMs, 20_000);
  await answer.text();
});

test('an abort ends the iteration with its reason, cancels the request, and leaves no listener', async () => {
  const controller = new AbortController();
  const answer = producer.submit('long', { signal: controller.signal });
  let parts = 0;
  await assert.rejects(
    async () => {
      for await (const _ of answer) if (++parts === 3) controller.abort();
    },
    { name: 'AbortError' },
  );
  assert.equal(parts, 3);
  await assert.rejects(answer.outcome, { name: 'AbortError' });
  assert.equal((await endOf(answer.id)).outcome.status, 'cancelled');
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
});

test('a signal that was aborted before submits nothing', async () => {
  const answer = producer.submit('never', { signal: AbortSignal.abort(new Error('no')) });
  await assert.rejects(answer.text(), /^Error: no$/);
  await assert.rejects(answer.accepted, /^Error: no$/);
  await assert.rejects(producer.attach(answer.id).text(), { code: 'not_found' });
});

test('a timeout signal ends the iteration with a TimeoutError', async () => {
  const answer = producer.submit('long', { signal: AbortSignal.timeout(150) });
  await assert.rejects(answer.text(), { name: 'TimeoutError' });
  assert.equal((await endOf(answer.id)).outcome.status, 'cancelled');
});

test('a deadline that passes is thrown with its code', async () => {
  const answer = producer.submit('long', { deadlineMs: 250 });
  await assert.rejects(answer.text(), { name: 'DroverError', code: 'deadline_exceeded' });
  const outcome = await answer.outcome;
  assert.ok(outcome.status === 'failed' && outcome.code === 'deadline_exceeded');
});

test('a cancel ends the reply with its code, and a loop that is left cancels too', async () => {
  const cancelled = producer.submit('long');
  const reading = readSome(cancelled, 2).then(() => endOf(cancelled.id));
  assert.equal((await reading).outcome.status, 'cancelled');

  const other = producer.submit('long too');
  const text = other.text();
  await other.accepted;
  other.cancel();
  await assert.rejects(text, { code: 'cancelled' });
});

test('another reader of the request gets it from the start or from any unit, and may leave it alone', async () => {
  await using elsewhere = await connectProducer(options());
  const answer = producer.submit('read me twice');
  const text = answer.text();
  await answer.accepted;
  assert.equal(await readSome(elsewhere.attach(answer.id), 2), said('read me twice', 2));
  assert.equal(await text, said('read me twice', 30), 'the first reader is not disturbed');
  const late = elsewhere.attach(answer.id, { from: 10 });
  assert.equal(said('read me twice', 10) + (await late.text()), said('read me twice', 30));
  assert.equal((await late.outcome).status, 'done');
});

test('a request that waits for a slot is known to who attaches, and an unknown one is not', async () => {
  const slots = localClusters[0]?.slots ?? 0;
  const running = Array.from({ length: slots * 8 }, (_, index) => producer.submit(`fill ${index}`));
  const last = running.at(-1) ?? assert.fail();
  await last.accepted;
  const late = producer.attach(last.id);
  await assert.rejects(producer.attach(`req_${nuid.next()}`).text(), { code: 'not_found' });
  const texts = await Promise.all(running.map((answer) => answer.text()));
  assert.equal(await late.text(), texts.at(-1));
});

test('the same id submitted twice is one request, read by both', async () => {
  const id = `req_${nuid.next()}`;
  const first = producer.submit('once', { id });
  await first.accepted;
  const second = producer.submit('once', { id });
  assert.deepEqual(await Promise.all([first.text(), second.text()]), Array(2).fill(said('once', 30)));
});

test('what cannot be submitted is refused with its code', async () => {
  const refusals: [Answer, string][] = [
    [producer.submit('x', { model: 'nobody-has-it' }), 'model_not_found'],
    [producer.submit('x', { id: 'a.b' }), 'invalid_request'],
    [producer.submit([]), 'invalid_request'],
    [producer.submit('x'.repeat(1_100_000)), 'request_too_large'],
    [producer.attach('*'), 'invalid_request'],
  ];
  for (const [answer, code] of refusals) await assert.rejects(answer.text(), { name: 'DroverError', code });
});

test('who has no key of the tenant cannot connect, and is told so at once', async () => {
  const { nkeyFile: _, ...keyless } = options();
  await assert.rejects(connectProducer(keyless), { code: 'unavailable' });
  await assert.rejects(connectProducer({ ...options(), tenant: 'a.b' }), { code: 'invalid_request' });
});

test('a producer that closes ends its reading, and the requests go on', async () => {
  const closing = await connectProducer(options());
  const answer = closing.submit('go on alone');
  await answer.accepted;
  const text = answer.text();
  await Promise.all([closing.close(), assert.rejects(text, { name: 'AbortError' })]);
  assert.equal((await endOf(answer.id)).outcome.status, 'done');
  assert.equal(await producer.attach(answer.id).text(), said('go on alone', 30));
});

test('submit listens to its signal only while there is something to cancel', async () => {
  await using nats = await connectAs(system, `producer-${localTenant}`);
  const { signal } = new AbortController();
  const now = Date.now();
  const submission = await submit(
    nats,
    {
      v: 1,
      id: requestId.parse(`req_${nuid.next()}`),
      tenant,
      submittedAtMs: now,
      deadlineAtMs: now + 30_000,
      endpoint: 'completion',
      body: { model: 'default', prompt: 'p', max_tokens: 2, stream: true },
    },
    { signal },
  );
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  for await (const event of submission.events) void event;
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});
