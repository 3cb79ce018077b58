import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import {
  account,
  buckets,
  catalogue,
  jobConsumer,
  parseValue,
  permissions,
  policy,
  streams,
  tariff,
  wakeConsumer,
} from '@drover/schemas';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { commands } from '../../apps/cli/src/commands/table.ts';
import { retentionEnv } from '../../apps/scheduler/src/config.ts';
import { agentUsers, hubDomain, hubMappings, hubUsers, inDomain } from '../../argocd/src/accounts.ts';
import { fleet, targetsOf } from '../../argocd/src/fleet.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import {
  defaultMachines,
  environments,
  nodeLabels,
  type PoolKind,
  poolLabel,
  taintsMet,
} from '../../infra/src/spec.ts';
import { type Resource, render, resourcesOf, variants } from './support/charts.ts';
import { ensureTools } from './support/tools.ts';

/** What charts say in YAML, the code says in TypeScript. Here the two are compared. */
const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const manifests = new Map<string, Resource[]>();

before(async () => {
  await ensureTools();
  for (const variant of variants)
    if (/ (aws|gcp|azure) prod/.test(variant.name))
      manifests.set(variant.name, resourcesOf(await render(variant)));
});

const of = (name: string) => manifests.get(name) ?? assert.fail(name);
const podOf = (resource: Resource) => Object(resource.spec).template.spec;
const workloads = () =>
  [...manifests].flatMap(([name, all]) =>
    all.filter(({ kind }) => kind === 'Deployment' || kind === 'Job').map((resource) => ({ name, resource })),
  );

test("KEDA asks for streams and consumers that bootstrap makes, in the account of the server's users", () => {
  const scaled = of('llm-server aws prod').find(({ kind }) => kind === 'ScaledObject') ?? assert.fail();
  const { triggers } = Object(scaled.spec);
  const asked = triggers.map(
    ({ metadata }: { metadata: Record<string, string> }) => `${metadata.stream}/${metadata.consumer}`,
  );
  const made = [jobConsumer('aws-us-east-1'), wakeConsumer('aws-us-east-1')].map(
    ({ stream, name }) => `${stream}/${name}`,
  );
  assert.deepEqual(asked.sort(), made.sort());
  for (const { metadata } of triggers) assert.equal(metadata.account, account);
});

test('one replica of llm-server is asked for per node wanted, and per as many jobs as it has slots', () => {
  const all = of('llm-server aws prod');
  const { triggers } = Object(all.find(({ kind }) => kind === 'ScaledObject')?.spec);
  const llama = podOf(all.find(({ kind }) => kind === 'Deployment') ?? assert.fail()).initContainers.find(
    ({ name }: { name: string }) => name === 'llama',
  );
  const parallel = llama.args[llama.args.indexOf('--parallel') + 1];
  const thresholds = triggers.map(({ metadata }: { metadata: Record<string, string> }) => [
    metadata.stream,
    metadata.lagThreshold,
  ]);
  assert.deepEqual(Object.fromEntries(thresholds), {
    [streams.wakes.name]: '1',
    [streams.jobs.name]: parallel,
  });
});

test("the hub's values give JetStream room for the streams that live in memory, and its domain the name agents use", () => {
  const { config } = parse(read('argocd/platform/nats-hub.yaml'));
  assert.equal(config.jetstream.merge.domain, hubDomain);
  assert.equal(config.jetstream.merge.sync_interval, 'always');
  const memory = Object.values(streams).reduce(
    (sum, stream) => sum + (stream.storage === 'memory' && 'maxBytes' in stream ? stream.maxBytes : 0),
    0,
  );
  assert.equal(config.jetstream.memoryStore.maxSize, '2Gi');
  assert.ok(2 * memory <= 2 * 1024 ** 3);
  assert.ok(Object.keys(buckets).length > 0);
});

test("the chart's bootstrap keeps what bootstrap keeps by itself, and another retention makes another job", async () => {
  const jobOf = (all: readonly Resource[]) => all.find(({ kind }) => kind === 'Job') ?? assert.fail();
  const job = jobOf(of('router aws prod'));
  const env: { name: string; value: string }[] = podOf(job).containers[0].env;
  const given = Object.fromEntries(
    env.filter(({ name }) => name in retentionEnv).map(({ name, value }) => [name, Number(value)]),
  );
  assert.deepEqual(given, z.object(retentionEnv).parse({}));
  const variant = variants.find(({ name }) => name === 'router aws prod') ?? assert.fail();
  const changed = { ...variant, args: [...variant.args, '--set', 'retention.eventsHours=48'] };
  assert.notEqual(jobOf(resourcesOf(await render(changed))).metadata.name, job.metadata.name);
});

test('a user of a leaf has the rights of an agent of its cluster, through the domain of the hub too, and no others', () => {
  const { publish, subscribe } = permissions.agent('gcp-us-central1');
  const [user] = Object.values(agentUsers(['gcp-us-central1']));
  assert.deepEqual(user?.permissions.subscribe, subscribe);
  const extra = user?.permissions.publish.filter((subject) => !publish.includes(subject)) ?? [];
  assert.ok(extra.length > 0 && extra.every((subject) => subject.startsWith(`$JS.${hubDomain}.API.`)));
  assert.equal(inDomain(permissions.agent('x')).inboxPrefix, '_INBOX_agent_x');
});

test('accelerated nodes have rights of their own, and a leaf those of both clusters and of no other', () => {
  const price = { usdPerHour: 1, market: 'spot', source: 'made up', asOf: '2026-01-01T00:00:00Z' };
  const gpu = { nodesMax: 2, price };
  const made = fleet.parse({
    v: 1,
    environment: 'dev',
    clusters: [
      { name: 'a', cloud: 'aws', role: 'hub', nodesMax: 1, price, gpu },
      { name: 'b', cloud: 'gcp', role: 'leaf', nodesMax: 1, price, gpu },
      { name: 'c', cloud: 'azure', role: 'leaf', nodesMax: 1, price },
    ],
  });
  assert.deepEqual(
    targetsOf(made).map(({ name, at }) => `${name}@${at}`),
    ['a@a', 'a-gpu@a', 'b@b', 'b-gpu@b', 'c@c'],
  );
  const users = hubUsers(made);
  assert.ok(users['agent-a-gpu'] && !users['agent-b-gpu'] && !users['leaf-b-gpu']);
  const clustersIn = (role: string) =>
    users[role]?.permissions.publish
      .filter((subject) => subject.startsWith('llm.evt.'))
      .map((subject) => subject.split('.')[2]);
  assert.deepEqual(clustersIn('agent-a-gpu'), ['a-gpu']);
  assert.deepEqual(clustersIn('leaf-b'), ['b', 'b-gpu']);
  assert.deepEqual(clustersIn('leaf-c'), ['c']);
  const mapped = Object.keys(hubMappings(made));
  assert.ok(mapped.includes('llm.reply.b-gpu.*.*') && !mapped.some((subject) => subject.includes('c-gpu')));
  assert.deepEqual(Object.keys(agentUsers(['b', 'b-gpu'])), ['agent-b', 'agent-b-gpu']);
  // Whoever is `b` speaks for `b-gpu`: nobody else may be called that.
  const named = { name: 'b-gpu', cloud: 'azure', role: 'leaf', nodesMax: 1, price };
  assert.ok(!fleet.safeParse({ ...made, clusters: [...made.clusters, named] }).success);
});

const taintKey = ({ key, value, effect }: { key: string; value: string; effect: string }) =>
  `${key}=${value}:${effect}`;

test('llm-server tolerates every taint of the pools that it selects in each cloud, and no other', () => {
  for (const cloud of ['aws', 'gcp', 'azure'] as const)
    for (const [pool, name] of [
      ['spot', `llm-server ${cloud} prod`],
      ['gpu', `llm-server ${cloud} prod gpu`],
    ] as const satisfies [PoolKind, string][]) {
      const pod = podOf(of(name).find(({ kind }) => kind === 'Deployment') ?? assert.fail(name));
      assert.deepEqual(
        pod.tolerations.map(taintKey).sort(),
        taintsMet(cloud, pool).map(taintKey).sort(),
        name,
      );
      assert.equal(pod.nodeSelector[poolLabel], nodeLabels[pool][poolLabel], name);
    }
});

test('a pod fits on the machine that infra makes for it, beside what the cloud keeps and runs there', () => {
  /** Cores of infra's default machines; of each the kubelet keeps up to 0.1, and daemons ask for up to 0.4 (GKE). */
  const cores: Record<string, number> = {
    't3.large': 2,
    'n1-standard-2': 2,
    Standard_D2s_v3: 2,
    'g4dn.xlarge': 4,
    'n1-standard-4': 4,
    Standard_NC4as_T4_v3: 4,
  };
  const milli = (text: string) => (text.endsWith('m') ? Number(text.slice(0, -1)) : Number(text) * 1_000);
  for (const cloud of ['aws', 'gcp', 'azure'] as const)
    for (const [pool, name] of [
      ['spot', `llm-server ${cloud} prod`],
      ['gpu', `llm-server ${cloud} prod gpu`],
    ] as const) {
      const pod = podOf(of(name).find(({ kind }) => kind === 'Deployment') ?? assert.fail(name));
      const asked = [...pod.initContainers.filter((one: Container) => one.restartPolicy), ...pod.containers]
        .map(({ resources }: Container) => milli(resources.requests.cpu))
        .reduce((sum, part) => sum + part, 0);
      const has = (cores[defaultMachines[cloud][pool]] ?? assert.fail()) * 1_000;
      assert.ok(asked <= has - 500, `${name} asks for ${asked}m of ${has}m`);
    }
});

type Container = { restartPolicy?: string; resources: { requests: { cpu: string } } };

test('the drain of a spot pod fits into the notice of its cloud, and the pod outlives it', () => {
  // GKE: 15 s of the 30 s notice for pods of users; Azure: Scheduled Events give 30 s; AWS: two minutes.
  const noticeSeconds = { gcp: 15, azure: 30, aws: 120 } as const;
  for (const [cloud, seconds] of Object.entries(noticeSeconds)) {
    const pod = podOf(
      of(`llm-server ${cloud} prod`).find(({ kind }) => kind === 'Deployment') ?? assert.fail(),
    );
    assert.ok(pod.terminationGracePeriodSeconds <= seconds, cloud);
    const env = envOf(pod.containers[0]);
    assert.ok(Number(env.get('DRAIN_MS')) < pod.terminationGracePeriodSeconds * 1_000, cloud);
    assert.equal(env.get('SPOT_NOTICE'), cloud);
  }
});

type Variable = { name: string; value?: string };
const envOf = ({ env = [] }: { env?: Variable[] }) => new Map(env.map(({ name, value }) => [name, value]));

/** Names of variables in an app's configuration: keys of its shape and of the one that all share. */
const variablesOf = (app: string): Set<string> =>
  new Set(
    [`apps/${app}/src/config.ts`, 'apps/runtime/src/env.ts'].flatMap((file) =>
      [...read(file).matchAll(/^\s+([A-Z][A-Z0-9_]+):/gm)].map((match) => match[1] ?? ''),
    ),
  );

test('every variable that a chart or compose.yaml sets is one that the app reads', () => {
  const appOf = {
    agent: 'agent',
    ingress: 'ingress',
    scheduler: 'scheduler',
    bootstrap: 'scheduler',
    prices: 'prices',
  } as const;
  const set: { where: string; app: string; names: string[] }[] = [];
  for (const { name, resource } of workloads())
    for (const container of podOf(resource).containers) {
      const app =
        Object.entries(appOf).find(([key]) => key === container.name)?.[1] ?? assert.fail(container.name);
      set.push({ where: `${name} ${container.name}`, app, names: [...envOf(container).keys()] });
    }
  const { services } = parse(read('compose.yaml'), { merge: true });
  for (const [service, { environment }] of Object.entries<{ environment?: Record<string, string> }>(
    services,
  )) {
    const app = Object.entries(appOf).find(([key]) => service.startsWith(key))?.[1];
    if (app) set.push({ where: `compose ${service}`, app, names: Object.keys(environment ?? {}) });
  }
  assert.ok(set.length > 15);
  for (const { where, app, names } of set) {
    const known = variablesOf(app);
    for (const name of names) assert.ok(known.has(name), `${where} sets ${name}, which ${app} does not read`);
  }
});

test('probes, services and policies use the ports that the processes are told to listen on', () => {
  for (const { name, resource } of workloads()) {
    const pod = podOf(resource);
    for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
      const ports = new Map<string, number>(
        (container.ports ?? []).map(
          ({ name: port, containerPort }: { name: string; containerPort: number }) => [port, containerPort],
        ),
      );
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
        if (container[probe])
          assert.ok(ports.has(container[probe].httpGet.port), `${name} ${container.name} ${probe}`);
      const env = envOf(container);
      if (ports.has('metrics')) assert.equal(String(ports.get('metrics')), env.get('METRICS_PORT'), name);
      if (ports.has('http')) assert.equal(String(ports.get('http')), env.get('HTTP_PORT'), name);
      if (ports.has('llama')) {
        assert.equal(String(ports.get('llama')), container.args[container.args.indexOf('--port') + 1], name);
        assert.equal(envOf(pod.containers[0]).get('LLAMA_URL'), `http://127.0.0.1:${ports.get('llama')}`);
      }
    }
  }
});

test("the probes' paths are answered by the processes", () => {
  const served = [...read('apps/runtime/src/metrics.ts').matchAll(/path === '(\/\w+)'/g)].map(
    (match) => match[1],
  );
  const http = [...read('apps/ingress/src/http/probes.ts').matchAll(/app\.get\('(\/\w+)'/g)].map(
    (match) => match[1],
  );
  for (const { name, resource } of workloads())
    for (const container of podOf(resource).containers)
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
        if (!container[probe]) continue;
        const { path, port } = container[probe].httpGet;
        assert.ok((port === 'http' ? http : served).includes(path), `${name} ${container.name}: ${path}`);
      }
});

test('every role connects with the inbox that its rights name', () => {
  const rights = {
    agent: permissions.agent('aws-us-east-1'),
    ingress: permissions.ingress(),
    scheduler: permissions.scheduler(),
    bootstrap: permissions.admin(),
    prices: permissions.prices(),
  };
  for (const { resource } of workloads())
    for (const container of podOf(resource).containers) {
      const role = Object.entries(rights).find(([name]) => name === container.name)?.[1] ?? assert.fail();
      assert.equal(envOf(container).get('NATS_INBOX_PREFIX'), role.inboxPrefix);
    }
});

test('every priority class that a chart names is made in every cluster', () => {
  const made = parseAllDocuments(read('argocd/cluster/priority-classes.yaml')).map(
    (d) => d.toJSON().metadata.name,
  );
  for (const { name, resource } of workloads())
    assert.ok(made.includes(podOf(resource).priorityClassName), name);
});

test('what bootstrap is given to begin with is what the schedulers accept, and asks for no more nodes than KEDA makes', () => {
  for (const environment of environments) {
    const { seeds } = parse(read(`argocd/environments/${environment}/router.yaml`));
    const parsed = parseValue(policy, seeds.policy);
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem);
    for (const [cluster, price] of Object.entries(seeds.prices)) {
      const checked = parseValue(tariff, price);
      assert.ok(checked.ok, `${environment} ${cluster}: ${checked.ok ? '' : checked.problem}`);
    }
    const most = Object(parse(read(`charts/llm-server/values/${environment}.yaml`)).autoscaling).maxReplicas;
    const base = parse(read('charts/llm-server/values.yaml')).autoscaling.maxReplicas;
    const gpu = parse(read('charts/llm-server/values/gpu.yaml')).autoscaling.maxReplicas;
    const { clusters } = fleet.parse(JSON.parse(read(`argocd/environments/${environment}/fleet.json`)));
    const plain = new Set<string>(clusters.map(({ name }) => name));
    for (const [name, nodes] of Object.entries(parsed.value.scaling?.nodesMax ?? {}))
      assert.equal(nodes, plain.has(name) ? (most ?? base) : gpu, name);
  }
  assert.ok(parseValue(catalogue, JSON.parse(read('charts/router/files/models.json'))).ok);
  const { seeds } = parse(read('charts/router/values.yaml'));
  assert.ok(parseValue(policy, seeds.policy).ok);
});

test('infra makes the clusters that the fleet names, with as many spot nodes as the scheduler may ask for', () => {
  for (const environment of environments) {
    const stack = parse(read(`infra/Pulumi.${environment}.yaml`)).config['drover:clusters'];
    const { clusters } = fleet.parse(JSON.parse(read(`argocd/environments/${environment}/fleet.json`)));
    type Pools = { spot?: { max?: number }; gpu?: { max?: number } };
    type Made = { name: string; cloud: string; role: string; pools?: Pools };
    assert.deepEqual(
      stack.map(({ name, cloud, role }: Made) => ({ name, cloud, role })),
      clusters.map(({ name, cloud, role }) => ({ name, cloud, role })),
      environment,
    );
    for (const { name, nodesMax, gpu } of clusters) {
      const pools: Pools | undefined = stack.find((made: Made) => made.name === name)?.pools;
      const most = pools?.spot?.max;
      if (most !== undefined) assert.ok(most >= nodesMax, `${environment} ${name}: ${most} nodes`);
      // Accelerated nodes are in both or in neither.
      assert.equal(gpu === undefined, pools?.gpu === undefined, `${environment} ${name}`);
      if (gpu) assert.ok((pools?.gpu?.max ?? 4) >= gpu.nodesMax, `${environment} ${name}: GPUs`);
    }
  }
});

test('every drover command in the runbooks and in docs/deploy.md is one that there is', () => {
  const named = ['docs/runbooks.md', 'docs/deploy.md'].flatMap((path) =>
    [...read(path).matchAll(/(?:`|^|npx )drover ([a-z]+(?: [a-z]+)?)/gm)].map((match) => match[1] ?? ''),
  );
  assert.ok(named.length > 5);
  for (const name of named)
    assert.ok(
      commands.some((command) => name === command.name || name.startsWith(`${command.name} `)),
      `drover ${name}`,
    );
});
