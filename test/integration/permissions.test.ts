import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CommonEnv,
  connectNats,
  createLogger,
  ensureBucket,
  ensureConsumer,
  ensureStream,
  Lease,
  lastMessage,
  type Nats,
  watchBucket,
} from '@drover/runtime';
import {
  agentConnection,
  agentId,
  buckets,
  catalogue,
  clusterId,
  consumersFor,
  natsUsersConfig,
  permissions,
  policy,
  policyKeys,
  streams,
  subjects,
  tariff,
  volatileStreams,
} from '@drover/schemas';
import { AckPolicy } from '@nats-io/jetstream';
import { nuid } from 'nats';
import { subscribeDepartures } from '../../apps/scheduler/src/nats/departures.ts';
import { type Credential, ensureKeys } from '../../infra/local/src/keys.ts';
import { startNatsServer, type TestServer } from '../support/nats-server.ts';

const roles = {
  admin: permissions.admin(),
  producer: permissions.producer('t1'),
  ingress: permissions.ingress(),
  scheduler: permissions.scheduler(),
  aws: permissions.agent('aws'),
  gcp: permissions.agent('gcp'),
  operator: permissions.operator(),
  prices: permissions.prices(),
};
type Role = keyof typeof roles;

const log = createLogger('test', 'fatal');
let folder: string;
let server: TestServer;
let credentials: Record<Role, Credential>;
const connections = new Map<Role, Promise<Nats>>();

/** The connection of a role, opened once. */
function as(role: Role): Promise<Nats> {
  const open = connections.get(role) ?? connectNats(role, environment(credentials[role]), log);
  connections.set(role, open);
  return open;
}

const environment = ({ nkeyFile, inboxPrefix }: Credential): CommonEnv => ({
  NATS_URL: server.url,
  NATS_NKEY_FILE: nkeyFile,
  NATS_INBOX_PREFIX: inboxPrefix,
  LOG_LEVEL: 'fatal',
});

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drover-keys-'));
  const keys = ensureKeys(folder, roles);
  credentials = keys.credentials;
  server = await startNatsServer(natsUsersConfig(keys.users));
  const admin = await as('admin');
  for (const stream of Object.values(streams)) await ensureStream(admin.jsm, stream, 1);
  for (const consumer of consumersFor(['aws', 'gcp'])) await ensureConsumer(admin.jsm, consumer);
  const prices = await ensureBucket(admin.js, buckets.prices, 1);
  await ensureBucket(admin.js, buckets.policy, 1);
  await ensureBucket(admin.js, buckets.leases, 1);
  const price = { v: 1, usdPerHour: 1, market: 'spot', source: 'test', asOf: '2026-01-01T00:00:00Z' };
  // The table below overwrites others.
  for (const cluster of ['aws', 'azure']) await prices.put(cluster, JSON.stringify(price));
});

after(async () => {
  for (const open of connections.values()) await (await open).nc.close();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Whether the server lets a role use a subject; nothing but the subject is looked at. */
async function allowed(role: Role, action: 'publish' | 'subscribe', subject: string): Promise<boolean> {
  const { nc } = await as(role);
  const refusals: string[] = [];
  const statuses = nc.status();
  void (async () => {
    for await (const status of statuses) if (status.type === 'error') refusals.push(status.error.message);
  })();
  const subscription =
    action === 'subscribe' ? nc.subscribe(subject, { callback: () => {} }) : nc.publish(subject);
  // The server answers in order: a refusal comes before the pong.
  await nc.flush();
  await new Promise((resolve) => setImmediate(resolve));
  subscription?.unsubscribe();
  (statuses as AsyncIterable<unknown> & { stop?(): void }).stop?.();
  return refusals.length === 0;
}

const js = '$JS.API';
const kvWrite = '$KV.LLM_PRICES.aws';
const deleteStream = `${js}.STREAM.DELETE.LLM_JOBS`;
const purgeStream = `${js}.STREAM.PURGE.LLM_EVENTS`;
const otherInbox = (role: string) => `_INBOX_${role}.>`;

const table: Record<
  Exclude<Role, 'admin'>,
  Record<'publish' | 'subscribe', { yes: string[]; no: string[] }>
> = {
  producer: {
    publish: {
      yes: [
        'llm.req.standard.t1.r1',
        'llm.cancel.t1.r1',
        `${js}.DIRECT.GET.LLM_EVENTS.llm.evt.*.t1.r1`,
        `${js}.CONSUMER.CREATE.LLM_REPLIES.n1.llm.reply.*.t1.r1`,
      ],
      no: [
        `${js}.CONSUMER.MSG.NEXT.LLM_SETTLEMENT.settler`,
        `${js}.CONSUMER.DELETE.LLM_SETTLEMENT.settler`,
        'llm.ledger.t1.r1',
        '$KV.LLM_BUDGETS.k1',
        `${js}.DIRECT.GET.LLM_LEDGER.llm.ledger.t1.r1`,
        'llm.req.standard.t2.r1',
        'llm.limits.i1',
        // The budget of an API key, even of its own tenant.
        'llm.req.standard-keyed.t1.r1',
        'llm.cancel.t2.r1',
        'llm.job.aws.r1',
        'llm.evt.ingress.t1.r1',
        'llm.reply.aws.t1.r1',
        // Even of its own: the answer goes to any reply subject, with words of the producer's choice.
        `${js}.DIRECT.GET.LLM_REQUESTS.llm.req.*.t1.r1`,
        // Even of its own: it could change a durable consumer by making one of that name.
        `${js}.CONSUMER.CREATE.LLM_EVENTS.settler.llm.evt.*.t1.r1`,
        `${js}.CONSUMER.MSG.NEXT.LLM_SETTLEMENT.settler`,
        `${js}.DIRECT.GET.LLM_EVENTS.llm.evt.*.t2.r1`,
        `${js}.DIRECT.GET.LLM_EVENTS`,
        `${js}.DIRECT.GET.LLM_REPLIES`,
        `${js}.CONSUMER.CREATE.LLM_REPLIES.n1.llm.reply.*.t2.r1`,
        `${js}.CONSUMER.CREATE.LLM_REPLIES.n1`,
        `${js}.CONSUMER.CREATE.LLM_REQUESTS.n1`,
        `${js}.CONSUMER.MSG.NEXT.LLM_REQUESTS.scheduler-standard`,
        `${js}.STREAM.INFO.LLM_REPLIES`,
        deleteStream,
        purgeStream,
        kvWrite,
      ],
    },
    subscribe: {
      yes: ['llm.reply.*.t1.r1', 'llm.evt.*.t1.*', otherInbox('producer_t1')],
      no: [
        'llm.reply.*.t2.r1',
        'llm.reply.>',
        'llm.req.>',
        'llm.evt.>',
        '_INBOX.>',
        otherInbox('producer_t2'),
      ],
    },
  },
  ingress: {
    publish: {
      yes: [
        'llm.req.batch.t2.r1',
        'llm.req.batch-keyed.t2.r1',
        'llm.limits.i1',
        'llm.cancel.t2.r1',
        'llm.evt.ingress.t2.r1',
        'llm.reply.ingress.t2.r1',
        '$KV.LLM_BUDGETS.k1',
        `${js}.DIRECT.GET.KV_LLM_BUDGETS.$KV.LLM_BUDGETS.k1`,
        `${js}.STREAM.INFO.LLM_LEDGER`,
        `${js}.CONSUMER.CREATE.LLM_LEDGER.n1`,
        `${js}.DIRECT.GET.LLM_LEDGER.llm.ledger.t2.r1`,
        `${js}.DIRECT.GET.LLM_DECISIONS.llm.decision.t1.r1`,
        `${js}.CONSUMER.CREATE.LLM_REPLIES.n1.llm.reply.*.t2.r1`,
      ],
      no: [
        'llm.ledger.t1.r1',
        `${js}.CONSUMER.MSG.NEXT.LLM_SETTLEMENT.settler`,
        'llm.job.aws.r1',
        'llm.evt.aws.t1.r1',
        'llm.evt.scheduler.t1.r1',
        'llm.reply.aws.t1.r1',
        'llm.report.aws.a1',
        'llm.demand.s1',
        `${js}.CONSUMER.MSG.NEXT.LLM_REQUESTS.scheduler-standard`,
        `${js}.STREAM.MSG.DELETE.LLM_REQUESTS`,
        deleteStream,
        purgeStream,
        kvWrite,
      ],
    },
    subscribe: {
      yes: ['llm.reply.*.t2.r1', 'llm.report.*.*', 'llm.evt.*.t1.r1', otherInbox('ingress')],
      no: ['llm.job.>', 'llm.req.>', otherInbox('scheduler'), '_INBOX.>'],
    },
  },
  scheduler: {
    publish: {
      yes: [
        'llm.job.aws.r1',
        'llm.decision.t1.r1',
        'llm.evt.scheduler.t1.r1',
        'llm.reply.scheduler.t1.r1',
        'llm.dlq.max_deliver.r1',
        'llm.demand.s1',
        '$KV.LLM_LEASES.duty',
        'llm.ledger.t1.r1',
        `${js}.CONSUMER.MSG.NEXT.LLM_SETTLEMENT.settler`,
        '$JS.ACK.LLM_SETTLEMENT.settler.1.2.3.4.5',
        `${js}.CONSUMER.CREATE.LLM_REPLIES.n1.llm.reply.*.t1.r1`,
        `${js}.DIRECT.GET.KV_LLM_LEASES.$KV.LLM_LEASES.duty`,
        `${js}.CONSUMER.CREATE.LLM_EVENTS.n1.llm.evt.*.t1.r1`,
        `${js}.CONSUMER.MSG.NEXT.LLM_REQUESTS.scheduler-batch`,
        `${js}.STREAM.MSG.DELETE.LLM_JOBS`,
        `${js}.STREAM.INFO.LLM_JOBS`,
        `${js}.STREAM.CREATE.LLM_REPLIES`,
      ],
      no: [
        '$KV.LLM_BUDGETS.k1',
        `${js}.STREAM.MSG.DELETE.LLM_LEDGER`,
        'llm.req.standard.t1.r1',
        'llm.cancel.t1.r1',
        'llm.evt.aws.t1.r1',
        'llm.reply.aws.t1.r1',
        'llm.report.aws.a1',
        `${js}.CONSUMER.MSG.NEXT.LLM_JOBS.aws`,
        '$JS.ACK.LLM_JOBS.aws.1.2.3.4.5',
        `${js}.STREAM.CREATE.LLM_JOBS`,
        `${js}.STREAM.DELETE.LLM_REPLIES`,
        `${js}.STREAM.MSG.DELETE.LLM_EVENTS`,
        deleteStream,
        purgeStream,
        kvWrite,
      ],
    },
    subscribe: {
      yes: [
        'llm.report.*.*',
        'llm.evt.*.*.*',
        'llm.cancel.*.*',
        'llm.decision.*.*',
        'llm.demand.*',
        otherInbox('scheduler'),
      ],
      no: ['llm.reply.>', 'llm.req.>', otherInbox('ingress'), '_INBOX.>'],
    },
  },
  prices: {
    publish: {
      yes: ['$KV.LLM_PRICES.aws', `${js}.DIRECT.GET.KV_LLM_PRICES.$KV.LLM_PRICES.aws`],
      no: [
        '$KV.LLM_PRICES.aws.more',
        '$KV.LLM_POLICY.active',
        '$KV.LLM_POLICY.cordon.aws',
        '$KV.LLM_LEASES.duty',
        '$KV.LLM_BUDGETS.k1',
        '$KV.LLM_PROFILES.aws',
        'llm.req.standard.t1.r1',
        'llm.job.aws.r1',
        'llm.evt.scheduler.t1.r1',
        'llm.report.aws.a1',
        `${js}.DIRECT.GET.KV_LLM_PRICES`,
        `${js}.DIRECT.GET.KV_LLM_POLICY.$KV.LLM_POLICY.active`,
        `${js}.CONSUMER.CREATE.KV_LLM_PRICES.n1.$KV.LLM_PRICES.>`,
        `${js}.STREAM.INFO.KV_LLM_PRICES`,
        `${js}.STREAM.MSG.DELETE.KV_LLM_PRICES`,
        deleteStream,
        purgeStream,
      ],
    },
    subscribe: {
      yes: [otherInbox('prices')],
      no: ['$KV.LLM_PRICES.>', 'llm.reply.>', 'llm.req.>', otherInbox('scheduler'), '_INBOX.>'],
    },
  },
  operator: {
    publish: {
      yes: [
        '$KV.LLM_PRICES.gcp',
        '$KV.LLM_POLICY.active',
        '$KV.LLM_POLICY.experiment',
        '$KV.LLM_POLICY.cordon.aws',
        'llm.req.batch.t2.r1',
        `${js}.STREAM.INFO.LLM_DLQ`,
        `${js}.STREAM.MSG.DELETE.LLM_DLQ`,
        `${js}.CONSUMER.INFO.LLM_JOBS.aws`,
        `${js}.CONSUMER.INFO.LLM_REQUESTS.scheduler-batch`,
        `${js}.DIRECT.GET.LLM_DECISIONS`,
      ],
      no: [
        '$KV.LLM_POLICY.models',
        '$KV.LLM_LEASES.duty',
        'llm.job.aws.r1',
        'llm.evt.scheduler.t1.r1',
        'llm.reply.aws.t1.r1',
        'llm.report.aws.a1',
        'llm.dlq.max_deliver.r1',
        `${js}.CONSUMER.MSG.NEXT.LLM_REQUESTS.scheduler-standard`,
        `${js}.CONSUMER.CREATE.LLM_REQUESTS.n1`,
        `${js}.DIRECT.GET.LLM_REQUESTS`,
        `${js}.STREAM.MSG.DELETE.LLM_JOBS`,
        `${js}.STREAM.MSG.DELETE.LLM_EVENTS`,
        `${js}.STREAM.DELETE.LLM_DLQ`,
        deleteStream,
        purgeStream,
      ],
    },
    subscribe: {
      yes: ['llm.report.*.*', 'llm.evt.*.*.*', otherInbox('operator')],
      no: ['llm.reply.>', 'llm.req.>', 'llm.job.>', otherInbox('scheduler'), '_INBOX.>'],
    },
  },
  aws: {
    publish: {
      yes: [
        'llm.evt.aws.t1.r1',
        'llm.reply.aws.t1.r1',
        'llm.report.aws.a1',
        'llm.dlq.invalid_job.r1',
        `${js}.CONSUMER.MSG.NEXT.LLM_JOBS.aws`,
        `${js}.CONSUMER.INFO.LLM_JOBS.aws`,
        '$JS.ACK.LLM_JOBS.aws.1.2.3.4.5',
        `${js}.DIRECT.GET.LLM_EVENTS.llm.evt.*.t1.r1`,
        `${js}.CONSUMER.CREATE.LLM_EVENTS.n1.llm.evt.*.t1.r1`,
      ],
      no: [
        `${js}.CONSUMER.MSG.NEXT.LLM_SETTLEMENT.settler`,
        `${js}.CONSUMER.DELETE.LLM_SETTLEMENT.settler`,
        'llm.ledger.t1.r1',
        '$KV.LLM_BUDGETS.k1',
        '$KV.LLM_LEASES.duty',
        `${js}.CONSUMER.DELETE.LLM_EVENTS.n1`,
        'llm.evt.gcp.t1.r1',
        'llm.evt.scheduler.t1.r1',
        'llm.reply.gcp.t1.r1',
        'llm.report.gcp.a1',
        'llm.job.aws.r1',
        'llm.req.standard.t1.r1',
        'llm.decision.t1.r1',
        `${js}.CONSUMER.MSG.NEXT.LLM_JOBS.gcp`,
        `${js}.CONSUMER.CREATE.LLM_JOBS.n1.llm.job.gcp.*`,
        '$JS.ACK.LLM_JOBS.gcp.1.2.3.4.5',
        `${js}.DIRECT.GET.LLM_JOBS.llm.job.gcp.r1`,
        `${js}.STREAM.MSG.DELETE.LLM_JOBS`,
        deleteStream,
        purgeStream,
        kvWrite,
      ],
    },
    subscribe: {
      yes: ['llm.cancel.*.*', otherInbox('agent_aws')],
      no: ['llm.job.>', 'llm.req.>', 'llm.reply.>', otherInbox('agent_gcp'), '_INBOX.>'],
    },
  },
  gcp: {
    publish: {
      yes: ['llm.reply.gcp.t1.r1', 'llm.spending.gcp', `${js}.DIRECT.GET.LLM_SPENDING.llm.spending.gcp`],
      no: ['llm.reply.aws.t1.r1', 'llm.spending.aws', `${js}.DIRECT.GET.LLM_SPENDING.llm.spending.aws`],
    },
    subscribe: { yes: [], no: [otherInbox('agent_aws')] },
  },
};

for (const [role, actions] of Object.entries(table) as [Role, (typeof table)['aws']][]) {
  for (const action of ['publish', 'subscribe'] as const) {
    test(`${role} may ${action} its own subjects and no others`, async () => {
      const wrong: string[] = [];
      for (const subject of actions[action].yes)
        if (!(await allowed(role, action, subject))) wrong.push(`refused: ${subject}`);
      for (const subject of actions[action].no)
        if (await allowed(role, action, subject)) wrong.push(`allowed: ${subject}`);
      assert.deepEqual(wrong, []);
    });
  }
}

test('who has no key cannot connect', async () => {
  const { connect } = await import('nats');
  await assert.rejects(connect({ servers: server.url, reconnect: false }), /Authorization Violation/i);
});

test('an agent pulls and settles a job of its cluster, and cannot even look at the consumer of another', async () => {
  const scheduler = await as('scheduler');
  await scheduler.js.publish(subjects.job('gcp', 'r7'), '{}', {
    msgID: 'r7.1',
    expect: { lastSubjectSequence: 0, lastSubjectSequenceSubject: subjects.job('*', 'r7') },
  });
  const { js: agent } = await as('gcp');
  const message = await (await agent.consumers.get('LLM_JOBS', 'gcp')).next({ expires: 2_000 });
  assert.equal(message?.subject, subjects.job('gcp', 'r7'));
  assert.equal(await message?.ackAck(), true);
  await assert.rejects(agent.consumers.get('LLM_JOBS', 'aws'), /permissions violation/i);
});

test('a producer replays its own reply by a consumer of its own, and none of another tenant', async () => {
  const [agent, producer] = [await as('aws'), await as('producer')];
  agent.nc.publish(subjects.reply('aws', 't1', 'r8'), 'mine');
  agent.nc.publish(subjects.reply('aws', 't2', 'r8'), 'theirs');
  await agent.nc.flush();
  const replay = (filter: string) =>
    producer.jsm.consumers.add('LLM_REPLIES', {
      name: nuid.next(),
      filter_subject: filter,
      ack_policy: AckPolicy.None,
      mem_storage: true,
    });
  const info = await replay(subjects.reply('*', 't1', 'r8'));
  const message = await producer.js.consumers.getConsumerFromInfo(info).next({ expires: 2_000 });
  assert.equal(message?.string(), 'mine');
  await producer.jsm.consumers.delete('LLM_REPLIES', info.name);
  await assert.rejects(replay(subjects.reply('*', 't2', 'r8')), /permissions violation/i);
});

test('a replay consumer whose body asks for more than its subject is refused', async () => {
  const producer = await as('producer');
  const answer = await producer.nc.request(
    `${js}.CONSUMER.CREATE.LLM_REPLIES.sly.${subjects.reply('*', 't1', 'r9')}`,
    JSON.stringify({
      stream_name: 'LLM_REPLIES',
      config: { name: 'sly', filter_subject: 'llm.reply.>', ack_policy: 'none' },
    }),
  );
  assert.ok(answer.json<{ error?: unknown }>().error, 'the consumer was made');
});

test('the scheduler follows prices and policy, remakes the memory streams, and lists and deletes jobs', async () => {
  const scheduler = await as('scheduler');
  const price = Promise.withResolvers<number>();
  const watched = await watchBucket(scheduler, {
    bucket: buckets.prices.name,
    key: '>',
    schema: tariff,
    onValue: (_, { usdPerHour }) => price.resolve(usdPerHour),
    log,
  });
  assert.equal(await price.promise, 1);
  watched.stop();
  for (const stream of volatileStreams) await ensureStream(scheduler.jsm, stream, 1);
  const ack = await scheduler.js.publish(subjects.job('gcp', 'r10'), '{}');
  const { state } = await scheduler.jsm.streams.info('LLM_JOBS', {
    subjects_filter: subjects.job('gcp', '*'),
  });
  assert.deepEqual(state.subjects, { [subjects.job('gcp', 'r10')]: 1 });
  assert.ok(await scheduler.jsm.direct.getMessage('LLM_JOBS', { seq: ack.seq }));
  assert.equal(await scheduler.jsm.streams.deleteMessage('LLM_JOBS', ack.seq, false), true);
  await assert.rejects(scheduler.jsm.streams.delete('LLM_REPORTS'), /permissions violation/i);
});

test('the ingress follows the policy bucket, reads the last reports, and cannot write either', async () => {
  const [ingress, agent] = [await as('ingress'), await as('aws')];
  const watched = await watchBucket(ingress, {
    bucket: buckets.policy.name,
    key: 'models',
    schema: catalogue,
    onValue: () => {},
    log,
  });
  watched.stop();
  agent.nc.publish(subjects.report('aws', 'a9'), 'report');
  await agent.nc.flush();
  assert.ok(await lastMessage(ingress, 'LLM_REPORTS', subjects.report('aws', 'a9')));
  const consumer = await ingress.js.consumers.get('LLM_REPORTS', { filter_subjects: 'llm.report.aws.a9' });
  assert.ok(await consumer.next({ expires: 2_000 }));
  await assert.rejects(ingress.js.publish('$KV.LLM_POLICY.active', '{}'), /permissions violation/i);
});

test('a policy that the server was made to write, as the answer to somebody who may not, is not followed', async () => {
  const [agent, scheduler, operator, admin] = [
    await as('aws'),
    await as('scheduler'),
    await as('operator'),
    await as('admin'),
  ];
  const followed: string[] = [];
  const genuine = Promise.withResolvers<void>();
  const watched = await watchBucket(scheduler, {
    bucket: buckets.policy.name,
    key: policyKeys.active,
    schema: policy,
    onValue: (_, { strategy }) => {
      followed.push(strategy);
      if (strategy === 'own-first') genuine.resolve();
    },
    log,
  });
  followed.length = 0;
  const subject = subjects.event('aws', 't1', 'sly-policy');
  await agent.js.publish(subject, JSON.stringify({ v: 1, strategy: 'latency' }));
  const stored = async () => (await admin.jsm.streams.info('KV_LLM_POLICY')).state.last_seq;
  const before = await stored();
  agent.nc.publish(`$JS.API.DIRECT.GET.LLM_EVENTS.${subject}`, '', { reply: '$KV.LLM_POLICY.active' });
  while ((await stored()) === before) await sleep(10);
  await operator.js.publish('$KV.LLM_POLICY.active', JSON.stringify({ v: 1, strategy: 'own-first' }));
  await genuine.promise;
  assert.deepEqual(followed, ['own-first']);
  watched.stop();
});

test('a scheduler gets, renews and gives back a lease with the rights of its role', async () => {
  const won = Promise.withResolvers<number>();
  const onChange = (token: number | null) => token !== null && won.resolve(token);
  const lease = new Lease({
    nats: await as('scheduler'),
    log,
    duty: 'any',
    holder: 's1',
    ttlSeconds: 1,
    onChange,
  });
  lease.start();
  const token = await won.promise;
  // Longer than one life: it was renewed.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  assert.equal(lease.token, token);
  await lease.stop();
  const last = await lastMessage(await as('admin'), 'KV_LLM_LEASES', '$KV.LLM_LEASES.any');
  assert.equal(last?.data.length, 0, 'the lease was not given back');
});

test('only the scheduler hears which connections have ended, and knows an agent by the name of its own', async () => {
  const gone: string[] = [];
  const scheduler = await as('scheduler');
  subscribeDepartures(scheduler, (cluster, agent) => void gone.push(`${cluster} ${agent}`), log);
  await scheduler.nc.flush();
  const name = agentConnection(clusterId.parse('aws'), agentId.parse('a7'));
  const other = await connectNats('any', environment(credentials.aws), log);
  const agent = await connectNats(name, environment(credentials.aws), log);
  await other.nc.close();
  await agent.nc.close();
  for (let left = 100; left > 0 && gone.length === 0; left--) await sleep(20);
  assert.deepEqual(gone, ['aws a7']);
  for (const role of ['ingress', 'producer', 'aws', 'operator'] as const)
    for (const subject of ['llm.gone.*', '$SYS.ACCOUNT.DROVER.DISCONNECT', '$SYS.ACCOUNT.>'])
      assert.equal(await allowed(role, 'subscribe', subject), false, `${role} ${subject}`);
  assert.equal(await allowed('scheduler', 'subscribe', '$SYS.ACCOUNT.>'), false);
  assert.equal(await allowed('aws', 'publish', subjects.gone('gcp')), false);
});

test("a reader may ask for its own reply to be said again, and for no other tenant's", async () => {
  assert.equal(await allowed('producer', 'publish', subjects.again('t1', 'r1')), true);
  assert.equal(await allowed('producer', 'publish', subjects.again('t2', 'r1')), false);
  assert.equal(await allowed('producer', 'subscribe', subjects.again('t1', '*')), false);
  assert.equal(await allowed('ingress', 'publish', subjects.again('t2', 'r1')), true);
  assert.equal(await allowed('aws', 'subscribe', subjects.again('*', '*')), true);
});
