import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Config } from '../src/config.ts';
import { registrationAnnotations, registrationLabels } from '../src/spec.ts';
import { types } from './checks/check.ts';
import { poolsOf } from './checks/pools.ts';
import { type Deployed, deploy, type Recorded, settled } from './support/deploy.ts';
import { example } from './support/examples.ts';
import { at, list } from './support/read.ts';

let staging: Deployed;
before(async () => {
  staging = await deploy(example('staging'), 'a token');
});

/** The one resource of a type, or the one of them whose name fits. */
function only({ resources }: Pick<Deployed, 'resources'>, type: string, named = /./): Recorded {
  const found = resources.filter((one) => one.type === type && named.test(one.name));
  assert.equal(found.length, 1, `${type} ${named}`);
  const [first] = found;
  assert.ok(first);
  return first;
}

const registration = (cluster: string): Recorded =>
  only(staging, types.kubernetesSecret, new RegExp(`^${cluster}-registration$`));

test("the API of each leaf admits the hub's own addresses, and the configured networks", async () => {
  const { 'aws-us-east-1': hub = [] } = await settled(staging.outputs.egress);
  assert.equal(hub.length, 1);
  const gke = only(staging, types.gke);
  const admittedByGke = list(at(gke.inputs, 'masterAuthorizedNetworksConfig', 'cidrBlocks')).map((block) =>
    at(block, 'cidrBlock'),
  );
  const aks = only(staging, types.aks);
  const admittedByAks = list(at(aks.inputs, 'apiServerAccessProfile', 'authorizedIPRanges'));
  for (const cidr of [...hub, '203.0.113.0/28']) {
    assert.ok(admittedByGke.includes(cidr), `GKE admits ${admittedByGke.join()}`);
    assert.ok(admittedByAks.includes(cidr), `AKS admits ${admittedByAks.join()}`);
  }
});

test("AKS admits its own nodes, which come from outside, and the hub's API admits no leaf", async () => {
  const egress = await settled(staging.outputs.egress);
  const admittedByAks = list(
    at(only(staging, types.aks).inputs, 'apiServerAccessProfile', 'authorizedIPRanges'),
  );
  assert.ok(admittedByAks.includes(egress['azure-eastus']?.[0]));
  const admittedByHub = list(at(only(staging, types.eks).inputs, 'vpcConfig', 'publicAccessCidrs'));
  assert.deepEqual(admittedByHub, ['203.0.113.0/28']);
});

test('a hub with a private API has no public endpoint', async () => {
  const eks = only(await deploy(example('prod')), types.eks);
  assert.equal(at(eks.inputs, 'vpcConfig', 'endpointPublicAccess'), false);
});

test('each cluster is registered with what ApplicationSets select by', () => {
  for (const { name, cloud, region, role } of example('staging').clusters) {
    const labels = at(registration(name).inputs, 'metadata', 'labels');
    assert.equal(at(labels, 'argocd.argoproj.io/secret-type'), 'cluster');
    assert.equal(at(labels, registrationLabels.cloud), cloud);
    assert.equal(at(labels, registrationLabels.env), 'staging');
    assert.equal(at(labels, registrationLabels.region), region);
    assert.equal(at(labels, registrationLabels.role), role);
  }
});

test('a registration tells of accelerated nodes where there is a pool of them, and of none elsewhere', async () => {
  const config = example('prod');
  const deployed = await deploy(config);
  const pools = poolsOf(deployed.resources).filter(({ kind }) => kind === 'gpu');
  assert.equal(pools.length, 1);
  for (const { name, pools: asked } of config.clusters) {
    const { inputs } = only(deployed, types.kubernetesSecret, new RegExp(`^${name}-registration$`));
    const told = at(inputs, 'metadata', 'labels', registrationLabels.gpu);
    assert.equal(told, asked.gpu === undefined ? undefined : 'true', name);
  }
});

test('each registration tells the registry, and the hub where leaf nodes come from', async () => {
  const egress = await settled(staging.outputs.egress);
  const registries = await settled(staging.outputs.registries);
  for (const [name, registry] of Object.entries(registries)) {
    const annotations = at(registration(name).inputs, 'metadata', 'annotations');
    assert.equal(at(annotations, registrationAnnotations.registry), registry);
    assert.equal(at(annotations, registrationAnnotations.cluster), name);
  }
  const sources = at(
    registration('aws-us-east-1').inputs,
    'metadata',
    'annotations',
    registrationAnnotations.leafSources,
  );
  const leaves = [...(egress['gcp-us-central1'] ?? []), ...(egress['azure-eastus'] ?? [])];
  assert.equal(sources, leaves.join(','));
});

test("a hub without leaves lets nobody's leaf nodes in but its own", async () => {
  const alone = await deploy(example('dev'));
  const { 'aws-us-east-1': own = [] } = await settled(alone.outputs.egress);
  const { inputs } = only(alone, types.kubernetesSecret, /-registration$/);
  const sources = at(inputs, 'metadata', 'annotations', registrationAnnotations.leafSources);
  assert.equal(sources, own.join(','));
  assert.notEqual(sources, '');
});

test('Argo CD verifies the certificate of every cluster, and holds a token for the leaves only', () => {
  for (const { name, role } of example('staging').clusters) {
    const text = at(registration(name).inputs, 'stringData', 'config');
    const config: unknown = JSON.parse(String(text));
    assert.equal(at(config, 'tlsClientConfig', 'insecure'), false, name);
    assert.equal(at(config, 'bearerToken'), role === 'leaf' ? 'fake-token' : undefined, name);
  }
});

test('the zone is made once, for the hub', () => {
  const zones = staging.resources.filter(({ type }) => /:(Zone|ManagedZone)$/.test(type));
  assert.deepEqual(
    zones.map(({ name }) => name),
    ['staging.drover.example'],
  );
});

for (const cloud of ['gcp', 'azure'] as const) {
  test(`a hub in ${cloud} edits its zone by workload identity`, async () => {
    const { resources } = await deploy(hubIn(cloud));
    const bindings = resources.filter(({ type }) =>
      /DnsManagedZoneIamMember|FederatedIdentityCredential/.test(type),
    );
    assert.equal(bindings.length, 2);
    for (const { inputs } of bindings)
      assert.match(
        String(at(inputs, 'member') ?? at(inputs, 'subject')),
        /(external-dns[/:](sa\/)?external-dns|cert-manager[/:](sa\/)?cert-manager)$/,
      );
  });
}

test('external-dns on a hub in Azure is told tenant, subscription and group, and proves itself without a secret', async () => {
  const config = hubIn('azure');
  const { outputs, resources } = await deploy(config);
  const hub = config.clusters.find(({ role }) => role === 'hub');
  assert.ok(hub?.cloud === 'azure');
  const zone = only({ resources }, 'azure-native:dns:Zone');
  assert.deepEqual(JSON.parse(await settled(outputs.dnsConfig)), {
    tenantId: hub.tenantId,
    subscriptionId: hub.subscriptionId,
    resourceGroup: at(zone.inputs, 'resourceGroupName'),
    useWorkloadIdentityExtension: true,
  });
  for (const cloud of ['aws', 'gcp'])
    assert.equal(await settled((await deploy(hubIn(cloud))).outputs.dnsConfig), '', cloud);
});

/** The staging example with the roles moved: the named cloud holds the hub. */
const hubIn = (cloud: string): Config => {
  const config = example('staging');
  return {
    ...config,
    clusters: config.clusters.map((one) => ({ ...one, role: one.cloud === cloud ? 'hub' : 'leaf' })),
  };
};

test('a paused leaf has no system nodes in GKE, and the one that AKS insists on', async () => {
  const config = example('staging');
  const clusters = config.clusters.map((one) => ({ ...one, paused: one.role === 'leaf' }));
  const { resources } = await deploy({ ...config, clusters });
  const system = poolsOf(resources).filter(({ kind }) => kind === 'system');
  for (const { cloud, sizes } of system) {
    const expected = { aws: 3, gcp: 0, azure: 1 }[cloud];
    assert.equal(sizes[0], expected, cloud);
  }
});

test('the subnets of an EKS cluster do not overlap', () => {
  const ranges = staging.resources
    .filter(({ type }) => type === types.awsSubnet)
    .map(({ inputs }) => String(at(inputs, 'cidrBlock')))
    .map((cidr) => {
      const [address = '', bits = ''] = cidr.split('/');
      const start = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
      return { start, end: start + 2 ** (32 - Number(bits)) };
    })
    .sort((one, other) => one.start - other.start);
  assert.equal(ranges.length, 6);
  for (const [index, { start }] of ranges.entries())
    assert.ok(index === 0 || start >= (ranges[index - 1]?.end ?? 0));
});
