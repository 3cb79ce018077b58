import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  agentConnection,
  agentGone,
  agentId,
  clusterId,
  gpuCluster,
  streams,
  subjects,
} from '@drover/schemas';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection, nkeyAuthenticator, nkeys } from 'nats';
import { parse } from 'yaml';
import { z } from 'zod';
import { agentUsers, hubUsers, keyVariable, namesAt } from '../../argocd/src/accounts.ts';
import { type Fleet, fleet, targetsOf } from '../../argocd/src/fleet.ts';
import { generatedValues } from '../../argocd/src/values.ts';
import { localModel } from '../../infra/local/src/clusters.ts';
import { ensureApiKey } from '../../infra/local/src/keys.ts';
import { ensureNatsServer, projectRoot } from '../../infra/local/src/parts.ts';
import { startFakeLlama } from '../support/fake-llama.ts';
import { freePort } from '../support/nats-server.ts';
import { renderSet } from './support/application-sets.ts';
import { type Conf, chartValues, confText, deepMerge, serverConfig } from './support/nats-chart.ts';
import { must } from './support/tools.ts';

/**
 * The hub (three servers, TLS, leaf nodes) and one leaf, as Argo CD would hand the values to the chart, on loopback with
 * a real nats-server. Replaced are only addresses and the places of files.
 */
const environment = 'prod';
const leaf = 'gcp-us-central1';
const folder = mkdtempSync(join(tmpdir(), 'drover-hub-'));
const processes: ChildProcess[] = [];
const connections: NatsConnection[] = [];
const file = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const own = fleet.parse(JSON.parse(file(`argocd/environments/${environment}/fleet.json`)));
/** The environment's, with accelerated nodes behind the leaf too. */
const theFleet: Fleet = {
  ...own,
  clusters: own.clusters.map((one) =>
    one.name === leaf ? { ...one, gpu: { nodesMax: 2, price: one.price } } : one,
  ),
};
const generated = generatedValues(theFleet);
const leafGpu = gpuCluster(clusterId.parse(leaf));
const seeds = new Map<string, Uint8Array>();
const keyEnv: Record<string, string> = {};
for (const role of [
  ...Object.keys(hubUsers(theFleet)),
  ...Object.keys(agentUsers(namesAt(targetsOf(theFleet), leaf))),
]) {
  const pair = nkeys.createUser();
  seeds.set(role, pair.getSeed());
  keyEnv[keyVariable(role)] = pair.getPublicKey();
}
let hubUrl = '';
let leafUrl = '';
let monitor = 0;
const jszStream = z.looseObject({
  name: z.string(),
  consumer_detail: z.array(z.looseObject({ name: z.string() })).default([]),
});
const rogue = { port: 0, monitor: 0 };
let startLeaf: (name: string, conf: Conf) => void = () => assert.fail('not yet');

before(async () => {
  await makeCertificates();
  const command = await ensureNatsServer((line) => console.error(line));
  const ports = await Promise.all(Array.from({ length: 14 }, freePort));
  const port = (index: number): number => ports[index] ?? assert.fail();
  const hub = serverConfig(await valuesOf('hub'), 'nats');
  for (const index of [0, 1, 2]) {
    const own: Conf = {
      port: port(index),
      http_port: port(3 + index),
      cluster: { port: port(6 + index), routes: [6, 7, 8].map((route) => `tls://127.0.0.1:${port(route)}`) },
      leafnodes: { port: index === 0 ? port(9) : await freePort() },
      jetstream: { store_dir: join(folder, `js-${index}`) },
    };
    start(command, `nats-${index}`, deepMerge(hub, own));
  }
  keyEnv.LEAF_SEED = new TextDecoder().decode(seeds.get(`leaf-${leaf}`));
  const conf = serverConfig(await valuesOf('leaf'), 'nats-leaf');
  startLeaf = (name, own) =>
    start(command, name, own, (text) => text.replace('leaf.prod.example.org:7422', `127.0.0.1:${port(9)}`));
  startLeaf('nats-leaf', deepMerge(conf, { port: port(10), http_port: port(11) }));
  Object.assign(rogue, { port: port(12), monitor: port(13) });
  monitor = port(3);
  hubUrl = `tls://127.0.0.1:${port(0)}`;
  leafUrl = `tls://127.0.0.1:${port(10)}`;
  await eventually('the hub has a meta leader', () => healthy(port(3)));
  await eventually('the leaf is linked', async () => (await json(port(11), 'leafz')).leafnodes === 1);
});

after(async () => {
  await Promise.all(connections.map((nc) => nc.close()));
  for (const child of processes) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** The values as the ApplicationSet composes them: the platform's file, the environment's, then what it adds itself. */
async function valuesOf(role: 'hub' | 'leaf') {
  const [application] = await renderSet(
    `nats-${role}`,
    environment,
    theFleet,
    ({ name }) => role === 'hub' || name === leaf,
  );
  const [source] = application?.sources ?? assert.fail(`no Application for ${role}`);
  const files = (source?.helm?.valueFiles ?? []).map((path) =>
    parse(
      (path.includes('/environments/') && generated.get(basename(path))) ||
        file(path.replace('$values/', '')),
    ),
  );
  return chartValues.parse([...files, source?.helm?.valuesObject ?? {}].reduce(deepMerge, {}));
}

function start(command: string, name: string, conf: Conf, replace = (text: string) => text): void {
  const text = replace(confText(conf))
    .replaceAll(/\/etc\/nats-certs\/\w+\/tls\.(crt|key)/g, `${folder}/server.$1`)
    .replaceAll('/etc/nats-ca-cert/ca.crt', `${folder}/ca.crt`)
    .replaceAll('/var/run/nats/nats.pid', `${folder}/${name}.pid`);
  const path = join(folder, `${name}.conf`);
  writeFileSync(path, text);
  const child = spawn(command, ['-c', path, '-l', join(folder, `${name}.log`)], {
    env: { ...process.env, ...keyEnv, SERVER_NAME: name },
    stdio: 'inherit',
  });
  child.once('exit', (code) => {
    if (code !== null && code > 1) console.error(`${name} ended with ${code}`);
  });
  processes.push(child);
}

async function makeCertificates(): Promise<void> {
  const cwd = folder;
  mkdirSync(cwd, { recursive: true });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await must(
    'openssl',
    ['req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=drover-nats'],
    { cwd },
  );
  await must('openssl', ['req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=nats'], {
    cwd,
  });
  writeFileSync(
    join(folder, 'san'),
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  await must(
    'openssl',
    [
      'x509',
      '-req',
      '-in',
      'server.csr',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      'server.crt',
      '-days',
      '2',
      '-extfile',
      'san',
    ],
    { cwd },
  );
}

const json = async (port: number, path: string): Promise<Record<string, unknown>> =>
  Object(await (await fetch(`http://127.0.0.1:${port}/${path}`)).json());

const healthy = async (port: number): Promise<boolean> => {
  const { meta_cluster: meta } = await json(port, 'jsz');
  return Boolean(Object(meta).leader) && Object(meta).cluster_size === 3;
};

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let left = 600; left > 0; left -= 1) {
    if (await holds().catch(() => false)) return;
    await delay(100);
  }
  const logs = ['nats-0', 'nats-leaf']
    .map((name) => join(folder, `${name}.log`))
    .filter((path) => existsSync(path));
  throw new Error(
    `never: ${what}\n${logs.map((path) => readFileSync(path, 'utf8').slice(-2_000)).join('\n')}`,
  );
}

async function connectAs(
  role: string,
  url: string,
  inbox = role.replace('-', '_'),
  name?: string,
): Promise<NatsConnection> {
  const seed = seeds.get(role) ?? assert.fail(`no seed of ${role}`);
  const nc = await connect({
    servers: url,
    authenticator: nkeyAuthenticator(seed),
    inboxPrefix: `_INBOX_${inbox}`,
    tls: { caFile: join(folder, 'ca.crt') },
    timeout: 5_000,
    ...(name === undefined ? {} : { name }),
  });
  connections.push(nc);
  return nc;
}

test('bootstrap makes every stream with three copies at the hub, and syncs every write', async () => {
  writeFileSync(join(folder, 'admin-seed'), seeds.get('admin') ?? assert.fail());
  await must(process.execPath, [join(projectRoot, 'apps/scheduler/src/bootstrap.ts')], {
    env: {
      ...process.env,
      NATS_URL: hubUrl,
      NATS_NKEY_FILE: join(folder, 'admin-seed'),
      NATS_CA_FILE: join(folder, 'ca.crt'),
      NATS_INBOX_PREFIX: '_INBOX_admin',
      CLUSTERS: targetsOf(theFleet)
        .map(({ name }) => name)
        .join(),
      POLICY_FILE: join(projectRoot, 'infra/local/config/policy.json'),
      MODELS_FILE: join(projectRoot, 'charts/router/files/models.json'),
      PRICES_FILE: join(projectRoot, 'infra/local/config/prices.json'),
      REPLICAS: '3',
    },
  });
  const nc = await connectAs('admin', hubUrl, 'admin');
  const jsm = await jetstreamManager(nc);
  const { config } = await jsm.streams.info(streams.jobs.name);
  assert.equal(config.num_replicas, 3);
  assert.match(readFileSync(join(folder, 'nats-0.conf'), 'utf8'), /"sync_interval": "always"/);
});

test('what KEDA asks the monitoring port of the hub for is there: the account, the streams, the consumers', async () => {
  const { account_details: accounts } = await json(monitor, 'jsz?acc=DROVER&consumers=true&config=true');
  const details = z
    .array(z.looseObject({ name: z.string(), stream_detail: z.array(jszStream) }))
    .parse(accounts);
  assert.deepEqual(
    details.map(({ name }) => name),
    ['DROVER'],
  );
  for (const stream of [streams.wakes.name, streams.jobs.name]) {
    const found = details[0]?.stream_detail.find(({ name }) => name === stream);
    const consumers = found?.consumer_detail.map(({ name }) => name).sort();
    assert.deepEqual(
      consumers,
      targetsOf(theFleet)
        .map(({ name }) => name)
        .sort(),
      stream,
    );
  }
});

test('an agent behind a leaf takes the jobs of its cluster and commits, and those of no other', async () => {
  const admin = await connectAs('admin', hubUrl, 'admin');
  const agent = await connectAs(`agent-${leaf}`, leafUrl, `agent_${leaf}`);
  await jetstream(admin).publish(subjects.job(leaf, 'r1'), '{}');
  await jetstream(admin).publish(subjects.job('aws-us-east-1', 'r2'), '{}');

  const js = jetstream(agent, { domain: 'hub', timeout: 5_000 });
  const jsm = await jetstreamManager(agent, { domain: 'hub', checkAPI: false });
  const consumer = await js.consumers.get(streams.jobs.name, leaf);
  const job = await consumer.next({ expires: 5_000 });
  assert.equal(job?.subject, subjects.job(leaf, 'r1'));
  const ack = await js.publish(subjects.event(leaf, 't1', 'r1'), '{}');
  assert.equal(ack.stream, streams.events.name);
  assert.equal(await job.ackAck(), true);
  const last = await jsm.direct.getMessage(streams.events.name, {
    last_by_subj: subjects.event('*', 't1', 'r1'),
  });
  assert.equal(last?.seq, ack.seq);

  await assert.rejects(js.publish(subjects.event('aws-us-east-1', 't1', 'r1'), '{}'), /[Pp]ermission/);
  await assert.rejects(async () => {
    const other = await js.consumers.get(streams.jobs.name, 'aws-us-east-1');
    await other.next({ expires: 1_000 });
  });
});

test('accelerated nodes behind a leaf are a cluster of their own, over the one connection of the leaf', async () => {
  const admin = await connectAs('admin', hubUrl, 'admin');
  const scheduler = await connectAs('scheduler', hubUrl);
  const name = agentConnection(leafGpu, agentId.parse('g1'));
  const agent = await connectAs(`agent-${leafGpu}`, leafUrl, `agent_${leafGpu}`, name);
  const heard: string[] = [];
  const note = (subject: string) => void heard.push(subject);
  scheduler.subscribe(subjects.report('*', '*'), { callback: (_, message) => note(message.subject) });
  admin.subscribe(subjects.reply('*', 't1', 'r7'), { callback: (_, message) => note(message.subject) });
  scheduler.subscribe(subjects.gone('*'), {
    callback: (_, message) => {
      const who = agentGone(message.subject.split('.')[2] ?? '', message.json());
      if (who) note(`gone ${who.cluster} ${who.agent}`);
    },
  });
  await Promise.all([admin.flush(), scheduler.flush()]);
  await jetstream(admin).publish(subjects.job(leaf, 'r6'), '{}');
  await jetstream(admin).publish(subjects.job(leafGpu, 'r7'), '{}');

  const js = jetstream(agent, { domain: 'hub', timeout: 5_000 });
  const job = await (await js.consumers.get(streams.jobs.name, leafGpu)).next({ expires: 5_000 });
  assert.equal(job?.subject, subjects.job(leafGpu, 'r7'));
  assert.equal((await js.publish(subjects.event(leafGpu, 't1', 'r7'), '{}')).stream, streams.events.name);
  assert.equal(await job.ackAck(), true);
  agent.publish(subjects.reply(leafGpu, 't1', 'r7'), '{}');
  agent.publish(subjects.report(leafGpu, 'g1'), '{}');
  await agent.flush();
  await eventually('token and report are heard', async () =>
    [subjects.reply(leafGpu, 't1', 'r7'), subjects.report(leafGpu, 'g1')].every((one) => heard.includes(one)),
  );

  await assert.rejects(js.publish(subjects.event(leaf, 't1', 'r7'), '{}'), /[Pp]ermission/);
  await assert.rejects(async () => {
    const other = await js.consumers.get(streams.jobs.name, leaf);
    await other.next({ expires: 1_000 });
  });
  await agent.close();
  await eventually('its agent is gone', async () => heard.includes(`gone ${leafGpu} g1`));
});

test('an agent behind a leaf keeps at the hub what its provider was paid, and reads it there', async () => {
  const agent = await connectAs(`agent-${leaf}`, leafUrl, `agent_${leaf}`);
  const mine = subjects.spending(leaf);
  const ack = await jetstream(agent, { domain: 'hub' }).publish(mine, '{}', {
    expect: { lastSubjectSequence: 0 },
  });
  const jsm = await jetstreamManager(agent, { domain: 'hub', checkAPI: false });
  const stored = await jsm.direct.getMessage(streams.spending.name, { last_by_subj: mine });
  assert.equal(stored?.seq, ack.seq);
});

test('tokens and reports of an agent behind a leaf reach readers at the hub and are kept there', async () => {
  const admin = await connectAs('admin', hubUrl, 'admin');
  const ingress = await connectAs('ingress', hubUrl, 'ingress');
  const agent = await connectAs(`agent-${leaf}`, leafUrl, `agent_${leaf}`);
  const heard: string[] = [];
  ingress.subscribe(subjects.reply('*', 't1', 'r3'), {
    callback: (_, message) => void heard.push(message.subject),
  });
  await ingress.flush();
  agent.publish(subjects.reply(leaf, 't1', 'r3'), '{}');
  agent.publish(subjects.report(leaf, 'a1'), '{}');
  await agent.flush();
  const jsm = await jetstreamManager(admin);
  const kept = async (stream: string, subject: string) =>
    (await jsm.direct.getMessage(stream, { last_by_subj: subject }).catch(() => null)) !== null;
  await eventually(
    'the token is heard and kept',
    async () => heard.length === 1 && (await kept(streams.replies.name, subjects.reply('*', 't1', 'r3'))),
  );
  await eventually('the report is kept', () => kept(streams.reports.name, subjects.report(leaf, 'a1')));
});

test('a leaf whose own server allows everything still speaks for its own cluster only', async () => {
  const open = nkeys.createUser();
  seeds.set('open', open.getSeed());
  const conf = serverConfig(await valuesOf('leaf'), 'rogue');
  const accounts = { DROVER: { users: [{ nkey: open.getPublicKey() }] }, SYS: {} };
  const url = `tls://127.0.0.1:${rogue.port}`;
  startLeaf('rogue', { ...deepMerge(conf, { port: rogue.port, http_port: rogue.monitor }), accounts });
  await eventually(
    'the rogue leaf is linked',
    async () => (await json(rogue.monitor, 'leafz')).leafnodes === 1,
  );
  const nc = await connectAs('open', url, 'open');
  const admin = await connectAs('admin', hubUrl, 'admin');
  const heard: string[] = [];
  admin.subscribe('llm.>', { callback: (_, message) => void heard.push(message.subject) });
  await admin.flush();
  nc.publish(subjects.event('aws-us-east-1', 't1', 'r9'), '{}');
  nc.publish(subjects.event('scheduler', 't1', 'r9'), '{}');
  nc.publish(subjects.request('standard', 't1', 'r9'), '{}');
  nc.publish(subjects.event(leaf, 't1', 'last'), '{}');
  await nc.flush();
  // What was said last arrives, so what was said before it has been dropped.
  await eventually('its own event is heard', async () => heard.length > 0);
  assert.deepEqual(heard, [subjects.event(leaf, 't1', 'last')]);
});

test('a client at the hub gets its tokens from an agent behind a leaf, through the apps themselves', async () => {
  await using llama = await startFakeLlama({ slots: 2, alias: localModel });
  const [http, ...metrics] = await Promise.all(Array.from({ length: 4 }, freePort));
  const key = ensureApiKey(folder, 't1');
  const seedFile = (role: string): string => {
    const path = join(folder, `${role}-seed`);
    writeFileSync(path, seeds.get(role) ?? assert.fail(role));
    return path;
  };
  const app = (name: string, role: string, url: string, inbox: string, env: Record<string, string>) => {
    const child = spawn(process.execPath, [join(projectRoot, 'apps', name, 'src/main.ts')], {
      env: {
        ...process.env,
        NATS_URL: url,
        NATS_NKEY_FILE: seedFile(role),
        NATS_CA_FILE: join(folder, 'ca.crt'),
        NATS_INBOX_PREFIX: `_INBOX_${inbox}`,
        ...env,
      },
      stdio: ['ignore', openSync(join(folder, `${name}.log`), 'a'), 'inherit'],
    });
    processes.push(child);
  };
  const port = (index: number) => String(metrics[index] ?? assert.fail());
  app('scheduler', 'scheduler', hubUrl, 'scheduler', { METRICS_PORT: port(0) });
  const http0 = String(http ?? assert.fail());
  app('ingress', 'ingress', hubUrl, 'ingress', {
    METRICS_PORT: port(1),
    HTTP_PORT: http0,
    API_KEYS_FILE: key.keysFile,
  });
  app('agent', `agent-${leaf}`, leafUrl, `agent_${leaf}`, {
    METRICS_PORT: port(2),
    CLUSTER: leaf,
    LLAMA_URL: llama.url,
    NATS_DOMAIN: 'hub',
  });
  const base = `http://127.0.0.1:${http0}`;
  await eventually('the ingress has heard of the cluster', async () => (await fetch(`${base}/readyz`)).ok);
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: localModel,
      max_tokens: 12,
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  });
  const body = await answer.text();
  assert.equal(answer.status, 200, body);
  assert.equal(answer.headers.get('x-drover-cluster'), leaf);
  assert.equal(JSON.parse(body).usage.completion_tokens, 12);
});

test('a leaf cannot get from the hub what its own server was made to allow', async () => {
  // The credential of the leaf itself, used by a client: the hub takes it from leaf nodes only.
  await assert.rejects(connectAs(`leaf-${leaf}`, hubUrl));
});

test('the hub advertises no address of its own to its leaf nodes', () => {
  assert.match(readFileSync(join(folder, 'nats-0.conf'), 'utf8'), /"leafnodes": \{[^}]*"no_advertise": true/);
});

test('a scheduler hears at once of agents that lost their connection, at the hub and behind the leaf', async () => {
  const { clusters } = theFleet;
  const hubCluster = clusters.find(({ role }) => role === 'hub')?.name ?? assert.fail();
  const scheduler = await connectAs('scheduler', hubUrl);
  const gone: string[] = [];
  scheduler.subscribe(subjects.gone('*'), {
    callback: (_error, message) => {
      const who = agentGone(message.subject.split('.')[2] ?? '', message.json());
      if (who) gone.push(`${who.cluster} ${who.agent}`);
    },
  });
  await scheduler.flush();
  for (const [cluster, url] of [
    [hubCluster, hubUrl],
    [leaf, leafUrl],
  ] as const) {
    const name = agentConnection(clusterId.parse(cluster), agentId.parse('a1'));
    const agent = await connectAs(`agent-${cluster}`, url, `agent_${cluster}`, name);
    await agent.flush();
    // The leaf may still have to hear that somebody listens.
    await delay(300);
    await agent.close();
    await eventually(`${cluster} a1 is gone`, async () => gone.includes(`${cluster} a1`));
  }
  assert.equal(gone.length, 2);
});
