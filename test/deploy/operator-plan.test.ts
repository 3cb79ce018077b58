import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { type Cluster, environments, type Facts, line } from '../../apps/cli/src/core/deploy/facts.ts';
import { resourcesOf } from '../../apps/cli/src/core/deploy/secret-steps.ts';
import { deployPlan } from '../../apps/cli/src/core/deploy/steps.ts';
import type { Action, Command, Plan } from '../../apps/cli/src/core/deploy/types.ts';
import { undeployPlan } from '../../apps/cli/src/core/deploy/undeploy.ts';
import { readFacts } from '../../apps/cli/src/deploy/read-facts.ts';
import { asData, manifestOf } from '../../apps/cli/src/deploy/secrets.ts';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { images, registrationLabels } from '../../infra/src/spec.ts';

/** What `drover deploy` says in commands, other folders say in YAML and TypeScript. Here they are compared. */
const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const paths = { folder: '/deployments/x' };
const all: { environment: (typeof environments)[number]; facts: Facts; plans: Plan[] }[] = environments.map(
  (environment) => {
    const facts = readFacts(environment, 'all');
    return { environment, facts, plans: [deployPlan(facts, paths), undeployPlan(facts, paths)] };
  },
);
const folder = mkdtempSync(join(tmpdir(), 'drover-plan-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const kubectl = (...args: string[]): string =>
  execFileSync('kubectl', args, { cwd: projectRoot, encoding: 'utf8' });
const actionsOf = (plan: Plan): readonly Action[] => plan.steps.flatMap(({ actions }) => actions);
const commandsOf = (action: Action): Command[] => {
  switch (action.kind) {
    case 'run':
      return action.doneIf ? [action.command, action.doneIf] : [action.command];
    case 'pipe':
      return [action.from, action.to];
    case 'kubeconfigs':
      return [action.command];
    case 'delegation':
      return [action.nameServers];
    case 'at-hub':
      return [action.forward];
    default:
      return [];
  }
};
const commands = () => all.flatMap(({ plans }) => plans.flatMap(actionsOf).flatMap(commandsOf));
const yamlBelow = (path: string): string =>
  readdirSync(join(projectRoot, path), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ya?ml|tpl)$/.test(file))
    .map((file) => read(join(path, file)))
    .join('\n');

test('every path of the tree that a command names is there', () => {
  const named = commands().flatMap(({ argv, cwd }) => [
    ...(cwd === undefined ? [] : [cwd]),
    ...argv.filter((word) => /^(argocd|infra|charts)\//.test(word)),
  ]);
  assert.ok(named.includes('argocd/root/prod.yaml') && named.includes('argocd/cluster'));
  for (const path of named) assert.ok(existsSync(join(projectRoot, path)), path);
});

test('every image that the registries have a place for is copied to the hub, and its digest is waited for', () => {
  for (const { facts, plans } of all) {
    const copied = plans
      .flatMap(actionsOf)
      .flatMap(commandsOf)
      .flatMap(({ argv }) => (argv[0] === 'crane' && argv[1] === 'copy' ? [argv[2] ?? ''] : []))
      .map((source) => /([a-z]+)@/.exec(source)?.[1] ?? source);
    assert.deepEqual([...new Set(copied)].sort(), [...images].sort());
    for (const image of images) assert.ok(image in facts.digests, image);
  }
});

test('every output of the stack that is asked for is one that the program makes', () => {
  const made = /export const \{([^}]+)\}/.exec(read('infra/src/index.ts'))?.[1]?.split(',') ?? [];
  const asked = commands().flatMap(({ argv }) => {
    const at = argv.indexOf('output');
    return at < 0 ? [] : [argv[at + 1]];
  });
  // What registries are called is asked for when the plan runs.
  for (const name of new Set([...asked, 'registries']))
    assert.ok(made.map((one) => one.trim()).includes(name ?? ''), name);
  assert.ok(asked.includes('kubeconfigs') && asked.includes('nameServers'));
});

test("the keys that are read of a stack's file are keys that its program knows", () => {
  const known = read('infra/src/config.ts');
  const used = [...read('apps/cli/src/core/deploy/facts.ts').matchAll(/'drover:(\w+)'/g)].map(
    (match) => match[1],
  );
  assert.ok(used.length >= 4);
  for (const key of [
    ...used,
    'accountId',
    'projectNumber',
    'project',
    'subscriptionId',
    'networks',
    'machine',
    'nodes',
  ])
    assert.match(known, new RegExp(`\\b${key}\\b`), key);
});

test('clusters of the stack and of the fleet are the same, and a local run has the same names', () => {
  for (const { facts } of all) assert.deepEqual(facts.clusters.map(line).sort(), [...facts.fleet].sort());
  const local = localClusters.map(({ id }) => id).sort();
  assert.deepEqual(
    all
      .find(({ environment }) => environment === 'prod')
      ?.facts.clusters.map(({ name }) => name)
      .sort(),
    local,
  );
});

test('kubectl builds the namespaces that the plan applies, and every Secret goes into one of them', () => {
  const namespaces = parseAllDocuments(kubectl('kustomize', 'argocd/cluster'))
    .map((document) => document.toJS())
    .filter(({ kind }) => kind === 'Namespace')
    .map(({ metadata }) => metadata.name);
  for (const { facts } of all)
    for (const { namespace } of resourcesOf(facts)) assert.ok(namespaces.includes(namespace), namespace);
  for (const { argv } of commands()) {
    const namespace = argv[argv.indexOf('-n') + 1] ?? '';
    // Argo CD's is made by infra.
    if (argv.includes('-n')) assert.ok([...namespaces, 'argocd'].includes(namespace), namespace);
  }
});

/** The same clusters, with the hub in another cloud. */
const hubIn = (facts: Facts, cloud: string): Facts => {
  const clusters = facts.clusters.map(
    (one): Cluster => ({ ...one, role: one.cloud === cloud ? 'hub' : 'leaf' }),
  );
  const hub = clusters.find(({ role }) => role === 'hub') ?? assert.fail(cloud);
  return { ...facts, clusters, hub, leaves: clusters.filter((one) => one !== hub) };
};

test('external-dns gets azure.json where the hub is in Azure, and nowhere else', () => {
  const staging = all.find(({ environment }) => environment === 'staging')?.facts ?? assert.fail();
  const madeFor = (cloud: string) =>
    resourcesOf(hubIn(staging, cloud)).filter(({ namespace }) => namespace === 'external-dns');
  assert.deepEqual([madeFor('aws'), madeFor('gcp')], [[], []]);
  const [made, ...more] = madeFor('azure');
  assert.deepEqual(more, []);
  assert.deepEqual(
    [made?.cluster, made?.name, made?.entries],
    ['azure-eastus', 'external-dns-azure', { 'azure.json': { stackOutput: 'dnsConfig' } }],
  );
  assert.match(read('argocd/platform/external-dns.yaml'), /secretName: external-dns-azure\b/);
  const outputs = /export const \{([^}]+)\}/.exec(read('infra/src/index.ts'))?.[1] ?? '';
  assert.match(outputs, /\bdnsConfig\b/);
});

test('accelerated nodes have a key of their own, where infra makes a pool of them', () => {
  for (const { facts } of all)
    for (const { name, pools } of facts.clusters) {
      const made = resourcesOf(facts).filter((one) => one.cluster === name);
      const keys = made.filter((one) => one.name === 'drover-agent-gpu-nkey').map(({ entries }) => entries);
      const wanted = pools.gpu === undefined ? [] : [{ seed: { file: `keys/agent-${name}-gpu.nk` } }];
      assert.deepEqual(keys, wanted, name);
    }
  assert.ok(all.some(({ facts }) => facts.clusters.some(({ pools }) => pools.gpu !== undefined)));
});

test('every Secret and ConfigMap that is made is one that a chart or a value names, with the key that it reads', () => {
  const text = `${yamlBelow('charts')}\n${yamlBelow('argocd')}`;
  for (const { facts } of all)
    for (const { name, entries } of resourcesOf(facts)) {
      assert.match(text, new RegExp(`\\b${name}\\b`), name);
      if (name !== 'nats-public-keys')
        for (const key of Object.keys(entries))
          assert.match(text, new RegExp(`\\b${key.replace('.', '\\.')}\\b`), `${name} ${key}`);
    }
});

test("the public keys that a cluster's NATS gets are those that its configuration names, no more and no fewer", () => {
  for (const { environment, facts } of all)
    for (const { cluster, entries } of resourcesOf(facts).filter(({ kind }) => kind === 'ConfigMap')) {
      const file = cluster === facts.hub.name ? 'nats-hub' : `nats-leaf-${cluster}`;
      const text = read(`argocd/environments/${environment}/${file}.yaml`);
      const named = [...text.matchAll(/\$(NKEY_\w+)/g)].map((match) => match[1] ?? '');
      assert.deepEqual(Object.keys(entries).sort(), [...new Set(named)].sort(), `${environment} ${cluster}`);
    }
});

test("nats' certificate names what an operator's forwarded port is called", () => {
  const certificates = parseAllDocuments(read('argocd/platform/nats-hub/certificates.yaml')).map((one) =>
    one.toJS(),
  );
  const { spec } = certificates.find(({ metadata }) => metadata.name === 'nats-server');
  for (const { plans } of all)
    for (const action of plans.flatMap(actionsOf))
      if (action.kind === 'at-hub')
        assert.ok(spec.dnsNames.includes(new URL(action.env.NATS_URL ?? '').hostname), action.env.NATS_URL);
});

test('what Argo CD is asked about, it has been told: registrations, the root Application, the label of the others', () => {
  assert.match(read('infra/src/kubernetes/registration.ts'), /name: `cluster-\$\{cluster\.name\}`/);
  assert.ok(registrationLabels.env.startsWith('drover.dev/'));
  const base = yamlBelow('argocd/base');
  const labels = base.match(/labels: \{ drover\.dev\/app: "\{\{\.app\}\}" \}/g) ?? [];
  assert.equal(labels.length, base.match(/^kind: ApplicationSet$/gm)?.length);
  for (const environment of environments) {
    const root = parse(read(`argocd/root/${environment}.yaml`));
    assert.deepEqual([root.metadata.name, root.metadata.namespace], ['drover', 'argocd']);
    assert.ok(kubectl('kustomize', root.spec.source.path).includes('kind: ApplicationSet'));
  }
});

test('what is applied over standard input is what kubectl reads as the same Secret or ConfigMap', () => {
  const [first] = all;
  assert.ok(first);
  const resources = resourcesOf(first.facts);
  const files = resources.map((resource, index) => {
    const data = asData(
      resource.kind,
      Object.fromEntries(Object.keys(resource.entries).map((key) => [key, 'value'])),
    );
    writeFileSync(join(folder, `${index}.json`), manifestOf(resource, data));
    return `${index}.json`;
  });
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify({ resources: files }));
  const built = parseAllDocuments(kubectl('kustomize', folder)).map((document) => document.toJS());
  const short = (kind: string, namespace: string, name: string) => `${kind} ${namespace}/${name}`;
  assert.deepEqual(
    built.map(({ kind, metadata }) => short(kind, metadata.namespace, metadata.name)).sort(),
    resources.map(({ kind, namespace, name }) => short(kind, namespace, name)).sort(),
  );
  const { data } = built.find(({ kind }) => kind === 'Secret');
  assert.equal(Buffer.from(String(Object.values(data)[0]), 'base64').toString(), 'value');
});

test('a step needs only steps that come before it, and every way there has a way back', () => {
  for (const { plans } of all)
    for (const { steps } of plans)
      for (const [index, { name, needs, undo }] of steps.entries()) {
        const before = steps.slice(0, index).map((step) => step.name);
        for (const need of needs) assert.ok(before.includes(need), `${name} needs ${need}`);
        assert.ok(undo.length > 0);
      }
});
