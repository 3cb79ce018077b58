import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { z } from 'zod';
import { names } from '../../apps/cli/src/core/deploy/names.ts';
import { type Fleet, fleet } from '../../argocd/src/fleet.ts';
import { imageFiles } from '../../argocd/src/images.ts';
import { generatedValues } from '../../argocd/src/values.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import {
  environments,
  nodeLabels,
  poolLabel,
  registrationLabels,
  type Taint,
  taintsMet,
} from '../../infra/src/spec.ts';
import {
  type Application,
  type ApplicationSet,
  overlay,
  read,
  registration,
  render,
  setsOf,
} from './support/application-sets.ts';
import { madeUpDigest, resourcesOf } from './support/charts.ts';
import { checkManifest, mustBeValid } from './support/kubeconform.ts';
import { ensureTools, must, tools } from './support/tools.ts';
import { kubernetes } from './support/versions.ts';

/** Three made-up clusters of one environment, and one of another that must get nothing. */
const price = { usdPerHour: 0.1, market: 'spot' as const, source: 'made up', asOf: '2026-01-01T00:00:00Z' };
const madeUp = fleet.parse({
  v: 1,
  environment: 'prod',
  clusters: [
    { name: 'aws-us-east-1', cloud: 'aws', role: 'hub', nodesMax: 10, price, gpu: { nodesMax: 2, price } },
    { name: 'gcp-us-central1', cloud: 'gcp', role: 'leaf', nodesMax: 10, price },
    { name: 'azure-eastus', cloud: 'azure', role: 'leaf', nodesMax: 10, price, gpu: { nodesMax: 2, price } },
  ],
});
const environment = 'prod';
const repository = 'https://github.com/drover-llm/drover.git';

let sets: ApplicationSet[] = [];
let applications: Application[] = [];

before(async () => {
  await ensureTools();
  sets = await setsOf(environment);
  const registered = [
    ...madeUp.clusters.map((cluster) => registration(environment, cluster)),
    ...madeUp.clusters.map((cluster) =>
      registration('dev', { ...cluster, name: `${cluster.name}-dev` as Fleet['clusters'][number]['name'] }),
    ),
  ];
  applications = (await Promise.all(sets.map((set) => render(set, registered)))).flat();
});

const local = (application: Application) =>
  application.sources.filter(({ repoURL, ref }) => repoURL === repository && ref === undefined);

test('every overlay and every folder that Argo CD applies is built by Kustomize and known to Kubernetes whole', async () => {
  for (const name of environments)
    await mustBeValid((await overlay(name)).map((resource) => stringify(resource)).join('---\n'), name);
  for (const folder of [
    'argocd/cluster',
    'argocd/hub',
    'argocd/platform/nats-hub',
    'argocd/platform/nats-leaf',
  ])
    await mustBeValid(await must('kubectl', ['kustomize', join(projectRoot, folder)]), folder);
  for (const file of readdirSync(join(projectRoot, 'argocd/root')))
    await mustBeValid(read(`argocd/root/${file}`), file);
});

test('a wrong field in an ApplicationSet, an AppProject or an Application is found', async () => {
  const resources = [
    ...(await overlay('dev')),
    ...parseAllDocuments(read('argocd/root/dev.yaml')).map((d) =>
      z.record(z.string(), z.unknown()).parse(d.toJSON()),
    ),
  ];
  const kinds = new Map(resources.map((resource) => [resource.kind, resource]));
  assert.deepEqual([...kinds.keys()].sort(), ['AppProject', 'Application', 'ApplicationSet']);
  for (const [kind, resource] of kinds) {
    const faulty = { ...resource, spec: { ...Object(resource.spec), droverPlantedFault: true } };
    const { ok, output } = await checkManifest(stringify(faulty));
    assert.ok(!ok && output.includes('droverPlantedFault'), `${kind}: ${output}`);
  }
});

test('each cluster of the environment gets what its role asks for, and the clusters of another get nothing', () => {
  const byCluster = Map.groupBy(applications, ({ cluster }) => cluster);
  const appsOf = (cluster: string) =>
    byCluster
      .get(cluster)
      ?.map(({ name }) => name.replace(`-${cluster}`, ''))
      .sort();
  const everywhere = ['cert-manager', 'cluster', 'keda', 'kube-prometheus-stack', 'llm-server'];
  assert.deepEqual(
    appsOf('aws-us-east-1'),
    [
      ...everywhere,
      ...['external-dns', 'hub', 'ingress-nginx', 'llm-server-gpu', 'nats', 'observability', 'router'],
    ].sort(),
  );
  assert.deepEqual(appsOf('gcp-us-central1'), [...everywhere, 'nats-leaf'].sort());
  assert.deepEqual(appsOf('azure-eastus'), [...everywhere, 'llm-server-gpu', 'nats-leaf'].sort());
  assert.equal(byCluster.size, 3);
  assert.equal(
    new Set(applications.map(({ name }) => name)).size,
    applications.length,
    'two Applications have one name',
  );
});

test('every Application is known to Argo CD whole, and goes to the cluster that it was made for', async () => {
  await mustBeValid(applications.map(({ manifest }) => manifest).join('---\n'), 'Applications');
  for (const { name, cluster, destination } of applications)
    assert.equal(destination.server, `https://${cluster}.example.org`, name);
});

test('every path and every values file that an Application names exists', () => {
  let seen = 0;
  for (const application of applications)
    for (const { path, helm } of application.sources) {
      if (path !== undefined) assert.ok(existsSync(join(projectRoot, path)), `${application.name}: ${path}`);
      for (const file of helm?.valueFiles ?? []) {
        seen += 1;
        const found = file.startsWith('$values/') ? file.replace('$values/', '') : join(path ?? '', file);
        assert.ok(existsSync(join(projectRoot, found)), `${application.name}: ${found}`);
      }
    }
  assert.ok(seen > 20);
});

test('every Application is in a project that allows its repositories and its destination', async () => {
  const projects = new Map(
    (await overlay(environment))
      .filter(({ kind }) => kind === 'AppProject')
      .map((project) => [Object(project.metadata).name, Object(project.spec)]),
  );
  for (const { name, project, sources, destination } of applications) {
    const allowed = projects.get(project) ?? assert.fail(`${name}: no project ${project}`);
    for (const { repoURL } of sources)
      assert.ok(allowed.sourceRepos.includes(repoURL), `${name}: ${repoURL}`);
    const namespaces = allowed.destinations.map(({ namespace }: { namespace: string }) => namespace);
    assert.ok(namespaces.includes(destination.namespace), `${name}: ${destination.namespace}`);
    assert.ok(!namespaces.includes('*'), `${project} may write anywhere`);
  }
});

test('everything heals itself, is applied by the server, and is tried again; nothing deletes an Application', () => {
  for (const { spec, metadata } of sets) {
    const policy = z
      .looseObject({ preserveResourcesOnDeletion: z.boolean(), applicationsSync: z.string() })
      .parse(spec.syncPolicy);
    assert.deepEqual(
      [policy.preserveResourcesOnDeletion, policy.applicationsSync],
      [true, 'create-update'],
      metadata.name,
    );
  }
  for (const { name, manifest } of applications) {
    const [document] = parseAllDocuments(manifest);
    const { syncPolicy, ignoreDifferences } = Object(document?.toJSON()).spec;
    assert.deepEqual(syncPolicy.automated, { prune: true, selfHeal: true }, name);
    assert.ok(syncPolicy.syncOptions.includes('ServerSideApply=true'), name);
    assert.ok(syncPolicy.retry.limit > 0, name);
    if (/^(llm-server|llm-server-gpu|router)-/.test(name))
      assert.deepEqual(ignoreDifferences[0].jsonPointers, ['/spec/replicas'], name);
  }
});

test('the charts render with what the Applications hand them, for every cluster', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'drover-apps-'));
  try {
    let seen = 0;
    for (const application of applications)
      for (const { path, helm } of local(application)) {
        if (!path || !helm) continue;
        seen += 1;
        const object = join(folder, `${application.name}.yaml`);
        writeFileSync(object, stringify(helm.valuesObject));
        const files = [...helm.valueFiles.map((file) => join(projectRoot, path, file)), object];
        const digests = ['image.ingress', 'image.scheduler', 'image.agent', 'image.llama', 'gpu.image']
          .filter((image) => (path.endsWith('router') ? /ingress|scheduler/ : /agent|llama|gpu/).test(image))
          .flatMap((image) => ['--set', `${image}.digest=${madeUpDigest}`]);
        const manifest = await must(tools.helm, [
          'template',
          helm.releaseName,
          join(projectRoot, path),
          '--namespace',
          application.destination.namespace,
          '--kube-version',
          kubernetes,
          ...files.flatMap((file) => ['--values', file]),
          ...(path.endsWith('observability') ? [] : digests),
        ]);
        await mustBeValid(manifest, application.name);
        if (path.endsWith('llm-server')) {
          const hub = application.cluster === 'aws-us-east-1';
          assert.match(manifest, hub ? /tls:\/\/nats\.nats\.svc/ : /tls:\/\/nats-leaf\.nats\.svc/);
          assert.match(manifest, hub ? /type: nats-jetstream/ : /type: prometheus/);
          checkPods(application, manifest);
        }
      }
    assert.equal(seen, 7);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Plain pods are for spot nodes and know nothing of GPUs; the others ask for one, on the nodes that infra makes for them. */
function checkPods({ set, name, cluster }: Application, manifest: string): void {
  const gpu = set === 'llm-server-gpu';
  const { cloud } = madeUp.clusters.find((one) => one.name === cluster) ?? assert.fail(cluster);
  const all = resourcesOf(manifest);
  const pod = Object(all.find(({ kind }) => kind === 'Deployment')?.spec).template.spec;
  const pool = gpu ? 'gpu' : 'spot';
  assert.equal(pod.nodeSelector[poolLabel], nodeLabels[pool][poolLabel], name);
  const short = ({ key, value, effect }: Taint) => `${key}=${value}:${effect}`;
  assert.deepEqual(pod.tolerations.map(short).sort(), taintsMet(cloud, pool).map(short).sort(), name);
  const llama = pod.initContainers.find((one: { name: string }) => one.name === 'llama');
  assert.equal(llama.resources.limits['nvidia.com/gpu'], gpu ? '1' : undefined, name);
  // Beside each other in one namespace: names, consumers, keys and inboxes are those of two clusters.
  const [agent] = pod.containers;
  const value = (variable: string) =>
    agent.env.find((one: { name: string }) => one.name === variable)?.value ?? assert.fail(variable);
  assert.equal(value('CLUSTER'), gpu ? `${cluster}-gpu` : cluster);
  assert.equal(value('NATS_INBOX_PREFIX'), `_INBOX_agent_${value('CLUSTER')}`);
  const nkey = pod.volumes.find((one: { name: string }) => one.name === 'nkey').secret.secretName;
  assert.equal(nkey, gpu ? 'drover-agent-gpu-nkey' : 'drover-agent-nkey');
  for (const { metadata } of all) assert.equal(metadata.name.startsWith('drover-gpu-'), gpu, metadata.name);
}

test('only the clusters that infra registers with a GPU pool get the workload for it', () => {
  const clusters = applications.filter(({ set }) => set === 'llm-server-gpu').map(({ cluster }) => cluster);
  assert.deepEqual(
    clusters.sort(),
    madeUp.clusters
      .filter(({ gpu }) => gpu)
      .map(({ name }) => name)
      .sort(),
  );
  // By the very label that infra writes.
  const set = sets.find(({ metadata }) => metadata.name === 'llm-server-gpu') ?? assert.fail();
  const [{ matrix }] = set.spec.generators;
  assert.equal(matrix.generators[0].clusters.selector.matchLabels[registrationLabels.gpu], 'true');
});

test("external-dns reads its file where drover deploy's Secret is mounted, and starts without one elsewhere", () => {
  const values = parse(read('argocd/platform/external-dns.yaml'));
  const [volume] = values.extraVolumes;
  assert.deepEqual(volume.secret, { secretName: names.azureConfig, optional: true });
  // The default of --azure-config-file is /etc/kubernetes/azure.json.
  assert.deepEqual(values.extraVolumeMounts, [
    { name: volume.name, mountPath: '/etc/kubernetes', readOnly: true },
  ]);
});

test("leaf nodes' addresses, and no others, are let in at the hub, and the hub's certificate names where they dial", async () => {
  const hub = applications.find(({ set }) => set === 'nats-hub') ?? assert.fail();
  const source = hub.sources.find(({ path }) => path === 'argocd/platform/nats-hub') ?? assert.fail();
  const { patches } = Object(source.kustomize);
  const folder = mkdtempSync(join(tmpdir(), 'drover-hub-'));
  try {
    cpSync(join(projectRoot, 'argocd/platform/nats-hub'), folder, { recursive: true });
    const kustomization = parse(read('argocd/platform/nats-hub/kustomization.yaml'));
    writeFileSync(join(folder, 'kustomization.yaml'), stringify({ ...kustomization, patches }));
    const built = await must('kubectl', ['kustomize', folder]);
    await mustBeValid(built, 'nats-hub');
    const resources = parseAllDocuments(built).map((document) => Object(document.toJSON()));
    const service = resources.find(({ kind }) => kind === 'Service');
    assert.deepEqual(service.spec.loadBalancerSourceRanges, ['203.0.113.7/32', '203.0.113.8/32']);
    assert.deepEqual(
      service.spec.ports.map(({ port }: { port: number }) => port),
      [7422],
    );
    const certificate = resources.find(
      ({ kind, metadata }) => kind === 'Certificate' && metadata.name === 'nats-server',
    );
    assert.ok(certificate.spec.dnsNames.includes('leaf.prod.example.org'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the files that follow from a fleet are those that are committed', () => {
  for (const name of environments) {
    const folder = `argocd/environments/${name}`;
    const parsed = fleet.parse(JSON.parse(read(`${folder}/fleet.json`)));
    assert.equal(parsed.environment, name);
    const expected = generatedValues(parsed);
    for (const [file, content] of expected)
      assert.ok(
        read(`${folder}/${file}`) === content,
        `${folder}/${file} is old: run npm run deploy:generate`,
      );
    const images = [
      ...imageFiles({ ingress: '', scheduler: '', prices: '', agent: '', llama: '', llamaGpu: '' }).keys(),
    ];
    assert.deepEqual(
      readdirSync(join(projectRoot, folder)).sort(),
      ['fleet.json', ...images, ...expected.keys()].sort(),
    );
  }
});

test('the digests of the pipeline end up in the files of an environment, and nothing else does', () => {
  const other = `sha256:${'b'.repeat(64)}`;
  const files = imageFiles({
    ingress: other,
    scheduler: other,
    prices: other,
    agent: other,
    llama: other,
    llamaGpu: other,
  });
  for (const content of files.values()) assert.ok(content.includes(other));
  assert.throws(() =>
    imageFiles({ ingress: 'latest', scheduler: '', prices: '', agent: '', llama: '', llamaGpu: '' }),
  );
});

test('only the root project may change projects and sets, and only administrators are in it', () => {
  const project = Object(parseAllDocuments(read('argocd/root/project.yaml'))[0]?.toJSON());
  assert.deepEqual(project.spec.destinations, [
    { server: 'https://kubernetes.default.svc', namespace: 'argocd' },
  ]);
  assert.deepEqual(project.spec.clusterResourceWhitelist, []);
  assert.deepEqual(
    project.spec.roles.map(({ groups }: { groups: string[] }) => groups),
    [['drover-admins']],
  );
  assert.ok(!applications.some(({ project: name }) => name === 'drover-root'));
});
