import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connectProducer, submit } from '@drover/client';
import { connectNats, createLogger, EventLog, ensureStream, type Nats, readSubject } from '@drover/runtime';
import {
  type Event,
  event,
  natsUsersConfig,
  type Outcome,
  parseMessage,
  permissions,
  type Reply,
  requestId,
  streams,
  subjects,
  tenantId,
} from '@drover/schemas';
import { headers, nuid } from 'nats';
import { assign, eventually, jobFor, listen, startBed } from '../../apps/agent/testing/bed.ts';
import { type Credential, ensureKeys } from '../../infra/local/src/keys.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import { startNatsServer, type TestServer } from '../support/nats-server.ts';

/**
 * A producer may publish its own requests only, but names in the reply field of each where the server shall send the
 * PubAck. It is then a message that is no event, in the log of any request.
 */
const roles = {
  admin: permissions.admin(),
  attacker: permissions.producer('t1'),
  victim: permissions.producer('t2'),
  ingress: permissions.ingress(),
  aws: permissions.agent('aws'),
};
type Role = keyof typeof roles;

let folder: string;
let server: TestServer;
let credentials: Record<Role, Credential>;
let nats: Record<Role, Nats>;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drover-keys-'));
  const keys = ensureKeys(folder, roles);
  credentials = keys.credentials;
  server = await startNatsServer(natsUsersConfig(keys.users));
  nats = {
    admin: await as('admin'),
    attacker: await as('attacker'),
    victim: await as('victim'),
    ingress: await as('ingress'),
    aws: await as('aws'),
  };
  for (const stream of Object.values(streams)) await ensureStream(nats.admin.jsm, stream, 1);
});
after(async () => {
  for (const { nc } of Object.values(nats ?? {})) await nc.close();
  await server?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

const as = (role: Role): Promise<Nats> =>
  connectNats(
    role,
    {
      NATS_URL: server.url,
      NATS_NKEY_FILE: credentials[role].nkeyFile,
      NATS_INBOX_PREFIX: credentials[role].inboxPrefix,
      LOG_LEVEL: 'fatal',
    },
    createLogger('test', 'fatal'),
  );

const tenant = tenantId.parse('t2');
const newId = () => requestId.parse(`req_${nuid.next()}`);
const requestOf = (id: string, deadlineInMs: number) => ({
  v: 1 as const,
  id: requestId.parse(id),
  tenant,
  endpoint: 'completion' as const,
  submittedAtMs: Date.now(),
  deadlineAtMs: Date.now() + deadlineInMs,
  body: { model: 'm', prompt: 'p', stream: true },
});

/** Publishes a request of `t1` whose PubAck goes to `target`; resolves when the stream has taken it for an event. */
async function steer(attacker: Nats, looker: Nats, target: string): Promise<void> {
  const own = nuid.next();
  const before = await lastSeq(looker, target);
  const about = headers();
  about.set('Nats-Msg-Id', own);
  attacker.nc.publish(subjects.request('batch', 't1', own), '{}', { reply: target, headers: about });
  await eventually(async () => assert.notEqual(await lastSeq(looker, target), before));
}
const lastSeq = async (looker: Nats, subject: string): Promise<number> =>
  (await looker.jsm.direct.getMessage(streams.events.name, { last_by_subj: subject }))?.seq ?? 0;

/** Messages that are events, wherever they came from. */
const writtenEvents = (messages: readonly { readonly data: Uint8Array }[]): Event[] =>
  messages.flatMap(({ data }) => {
    const parsed = parseMessage(event, data);
    return parsed.ok ? [parsed.value] : [];
  });

const ended = (outcome: Outcome): Event => ({ v: 1, state: 'ended', attempt: 1, atMs: 0, outcome });
const done: Outcome = { status: 'done', finish: 'stop', units: 1 };
const commit = (id: string) =>
  nats.aws.js.publish(subjects.event('aws', tenant, id), JSON.stringify(ended(done)));

test('the last event is the last that is one, whatever was steered behind it', async () => {
  const id = newId();
  await steer(nats.attacker, nats.admin, subjects.event('aws', tenant, id));
  assert.equal(await new EventLog(nats.ingress, tenant, id).last(), null);
  const { seq } = await commit(id);
  await steer(nats.attacker, nats.admin, subjects.event('aws', tenant, id));
  await steer(nats.attacker, nats.admin, subjects.event('somebody', tenant, id));
  assert.deepEqual(await new EventLog(nats.ingress, tenant, id).last(), {
    seq,
    writer: 'aws',
    event: ended(done),
  });
});

const firstUnit = (id: string): Reply[] => [
  {
    v: 1,
    k: 'open',
    f: 1,
    i: 0,
    mode: 'tokens',
    attempt: 1,
    cluster: 'aws',
    model: 'm',
    modelHash: 'h',
    queueMs: 0,
    backendMs: 0,
  },
  { v: 1, k: 'tokens', f: 1, i: 0, ids: [7], t: [`unit of ${id}`] },
];
const say = (id: string, ...replies: Reply[]) => {
  for (const reply of replies) nats.aws.nc.publish(subjects.reply('aws', tenant, id), JSON.stringify(reply));
};

test('a reader that missed the end learns the outcome from before a steered PubAck', async () => {
  const id = newId();
  const submission = await submit(nats.ingress, requestOf(id, 30_000));
  say(id, ...firstUnit(id));
  await commit(id);
  await steer(nats.attacker, nats.admin, subjects.event('aws', tenant, id));
  const kinds: string[] = [];
  for await (const event of submission.events) kinds.push(event.kind);
  assert.deepEqual(kinds, ['open', 'units', 'end']);
});

test('a producer reads on although PubAcks were steered into its reply and its log', async () => {
  const options = { url: server.url, tenant, nkeyFile: credentials.victim.nkeyFile, model: 'm' };
  await using producer = await connectProducer(options);
  const answer = producer.submit('p', { id: newId() });
  await answer.accepted;
  await steer(nats.attacker, nats.admin, subjects.event('aws', tenant, answer.id));
  const reply = subjects.reply('aws', tenant, answer.id);
  nats.attacker.nc.publish(subjects.request('batch', 't1', nuid.next()), '{}', { reply });
  const [open, unit] = firstUnit(answer.id);
  assert.ok(open && unit);
  // The units came before their `open`: the reader looks for more, and must not stumble over the log.
  say(answer.id, unit, open, unit, { v: 1, k: 'end', f: 1, outcome: done });
  assert.equal(await answer.text(), `unit of ${answer.id}`);
  assert.deepEqual(await answer.outcome, done);
});

test('an expired request is ended although a PubAck was steered into its log', async () => {
  const id = newId();
  await steer(nats.attacker, nats.admin, subjects.event('aws', tenant, id));
  const submission = await submit(nats.ingress, requestOf(id, 100), { expireAs: 'ingress' });
  let outcome: Outcome | undefined;
  for await (const event of submission.events) if (event.kind === 'end') outcome = event.outcome;
  assert.ok(outcome?.status === 'failed' && outcome.code === 'deadline_exceeded');
  const last = await new EventLog(nats.ingress, tenant, id).last();
  assert.ok(last?.event.state === 'ended');
});

test('an agent runs a request to its end, once, whatever is steered before, during and after', async () => {
  await using hub = await startHub(['c1']);
  await using looker = await connectTo(hub.url);
  await using bed = await startBed(hub.url, 'c1', { fake: { tokenMs: 20 } });
  const job = jobFor('c1', { prompt: 'go on', tokens: 20, attempt: 2 });
  const { id } = job.request;
  const target = subjects.event('c1', job.request.tenant, id);
  const ear = await listen(looker, id);

  await steer(looker, looker, target);
  await looker.js.publish(subjects.event('c1', 't1', 'other'), JSON.stringify(ended(done)));
  looker.nc.publish(`$JS.API.DIRECT.GET.LLM_EVENTS.${subjects.event('*', 't1', 'other')}`, '', {
    reply: target,
  });
  await eventually(async () => assert.ok((await lastSeq(looker, target)) > 2));
  await assign(looker, job);
  await eventually(() => assert.ok(ear.text.length > 0));
  await steer(looker, looker, target);
  const outcome = await ear.ended();
  await steer(looker, looker, target);
  assert.equal(outcome.status, 'done');
  assert.equal(ear.text, replyText('go on', 20));

  // Assigned once more: the end is still seen behind what came after it.
  await assign(looker, job);
  const drained = async () => (await looker.jsm.streams.info(streams.jobs.name)).state.messages;
  await eventually(async () => assert.equal(await drained(), 0));
  assert.equal(bed.fake.counters.generations, 1);
  const messages = await readSubject(
    looker,
    streams.events.name,
    subjects.event('*', job.request.tenant, id),
  );
  const states = writtenEvents(messages).map(({ state }) => state);
  // The first is the copy.
  assert.deepEqual(states, ['ended', 'running', 'ended']);
});

test('a copy of another event, which the server can be made to store, is no event of the request', async () => {
  const id = newId();
  const target = subjects.event('aws', tenant, id);
  const ownEvent = subjects.event('aws', 't1', 'own');
  await nats.admin.js.publish(ownEvent, JSON.stringify(ended(done)));
  nats.attacker.nc.publish(`$JS.API.DIRECT.GET.LLM_EVENTS.llm.evt.*.t1.own`, '', { reply: target });
  await eventually(async () => assert.ok(await lastSeq(nats.admin, target)));
  assert.equal(await new EventLog(nats.ingress, tenant, id).last(), null);
  // It does parse: only its header tells that it is a copy.
  const [copy] = await readSubject(nats.admin, streams.events.name, target);
  assert.equal(copy?.string(), JSON.stringify(ended(done)));
});

test('a producer cannot make the server say words of its choice anywhere', async () => {
  const { nc, js } = nats.attacker;
  const target = subjects.event('aws', tenant, newId());
  await js.publish(subjects.request('batch', 't1', 'words'), JSON.stringify(ended(done)));
  nc.publish('$JS.API.DIRECT.GET.LLM_REQUESTS.llm.req.*.t1.words', '', { reply: target });
  // The PubAck of a later message is there: what could come before it has come.
  await steer(nats.attacker, nats.admin, target);
  const messages = await readSubject(nats.admin, streams.events.name, target);
  assert.deepEqual(writtenEvents(messages), []);
});

test('what a producer makes the server deliver to a reader of another tenant is not shown', async () => {
  const id = newId();
  const submission = await submit(nats.victim, requestOf(id, 30_000));
  await nats.admin.nc.flush();
  const forged: Reply = { v: 1, k: 'end', f: 99, outcome: { status: 'done', finish: 'stop', units: 0 } };
  await nats.admin.js.publish(subjects.reply('aws', 't1', 'mine'), JSON.stringify(forged));
  const heard = nats.victim.nc.subscribe(subjects.reply('*', tenant, id), { max: 1 });
  await nats.victim.nc.flush();
  const config = {
    name: 'n2',
    filter_subject: 'llm.reply.*.t1.mine',
    ack_policy: 'none',
    inactive_threshold: 5_000_000_000,
  };
  await nats.attacker.nc.request(
    '$JS.API.CONSUMER.CREATE.LLM_REPLIES.n2.llm.reply.*.t1.mine',
    JSON.stringify({ stream_name: 'LLM_REPLIES', config: { ...config, deliver_policy: 'all' } }),
  );
  nats.attacker.nc.publish('$JS.API.CONSUMER.MSG.NEXT.LLM_REPLIES.n2', '{"batch":1}', {
    reply: subjects.reply('aws', tenant, id),
  });
  // It does reach the connection; the reader is what passes it over.
  for await (const message of heard) assert.equal(message.subject, subjects.reply('aws', 't1', 'mine'));
  submission.close();
  const events: string[] = [];
  for await (const event of submission.events) events.push(event.kind);
  assert.deepEqual(events, []);
});
