import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { everyClusterHasABudget } from './checks/budgets.ts';
import { type Check, types } from './checks/check.ts';
import { noOpenEndpoint } from './checks/endpoints.ts';
import { oidcOn } from './checks/identity.ts';
import { namesFit } from './checks/names.ts';
import {
  acceleratorsAreTainted,
  everyClusterHasItsPools,
  noAccelerators,
  spotFromZero,
  taintsAsSpecified,
} from './checks/pools.ts';
import { secretsAreMarked } from './checks/secrets.ts';
import { nodesAreTagged, taggedWherePossible } from './checks/tags.ts';
import { deploy, type Recorded } from './support/deploy.ts';
import { example } from './support/examples.ts';
import { entries, open } from './support/read.ts';

/** The example of prod has the three clouds and, in AWS, accelerated nodes. */
let sound: readonly Recorded[] = [];
before(async () => {
  sound = (await deploy(example('prod'), 'a token')).resources;
});

type Break = (resources: readonly Recorded[]) => readonly Recorded[];

/** A copy of a value with something else at a path; what was not there is made. */
function replaced(value: unknown, path: readonly (string | number)[], to: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return to;
  const opened = open(value);
  if (Array.isArray(opened))
    return opened.map((one, index) => (index === step ? replaced(one, rest, to) : one));
  const object = Object.fromEntries(entries(opened));
  return { ...object, [step]: replaced(object[step], rest, to) };
}

/** Puts something else into the first resource of a type whose name fits. */
const put =
  (type: string, path: readonly (string | number)[], to: unknown, named = /./): Break =>
  (resources) => {
    const victim = resources.find((one) => one.type === type && named.test(one.name));
    assert.ok(victim, `there is no ${type} to break`);
    const inputs = Object.fromEntries(entries(replaced(victim.inputs, path, to)));
    return resources.map((one) => (one === victim ? { ...one, inputs } : one));
  };

const without =
  (type: string, named = /./): Break =>
  (resources) => {
    const victim = resources.find((one) => one.type === type && named.test(one.name));
    assert.ok(victim, `there is no ${type} to take away`);
    return resources.filter((one) => one !== victim);
  };

const twice =
  (type: string): Break =>
  (resources) => {
    const victim = resources.find((one) => one.type === type);
    assert.ok(victim, `there is no ${type} to repeat`);
    return [...resources, victim];
  };

const added =
  (type: string, inputs: Recorded['inputs']): Break =>
  (resources) => [...resources, { type, name: 'planted', inputs }];

const faults: readonly (readonly [string, Check, Break])[] = [
  [
    'an EKS spot pool of one node',
    spotFromZero,
    put(types.eksPool, ['scalingConfig', 'minSize'], 1, /-spot$/),
  ],
  [
    'an EKS spot pool that starts with two',
    spotFromZero,
    put(types.eksPool, ['scalingConfig', 'desiredSize'], 2, /-spot$/),
  ],
  [
    'a GKE spot pool that starts with one',
    spotFromZero,
    put(types.gkePool, ['initialNodeCount'], 1, /-spot$/),
  ],
  [
    'a GKE spot pool that keeps one',
    spotFromZero,
    put(types.gkePool, ['autoscaling', 'totalMinNodeCount'], 1, /-spot$/),
  ],
  ['an AKS spot pool that keeps one', spotFromZero, put(types.aksPool, ['minCount'], 1)],
  ['an AKS spot pool that starts with one', spotFromZero, put(types.aksPool, ['count'], 1)],
  ['models on demand', spotFromZero, put(types.eksPool, ['capacityType'], 'ON_DEMAND', /-spot$/)],
  ['a system pool on spot', spotFromZero, put(types.gkePool, ['nodeConfig', 'spot'], true, /-system$/)],
  ['a pool without our label', spotFromZero, put(types.aksPool, ['nodeLabels'], {})],
  ['a cluster without a spot pool', everyClusterHasItsPools, without(types.gkePool, /-spot$/)],
  ['an untainted spot pool', taintsAsSpecified, put(types.eksPool, ['taints'], [], /-spot$/)],
  [
    "an AKS spot pool without AKS's own taint",
    taintsAsSpecified,
    put(types.aksPool, ['nodeTaints'], ['drover.dev/spot=true:NoSchedule']),
  ],
  [
    'an unexpected accelerator in GKE',
    noAccelerators,
    put(types.gkePool, ['nodeConfig', 'guestAccelerators'], [{ type: 'nvidia-tesla-t4', count: 1 }]),
  ],
  [
    'an unexpected accelerator in AKS',
    noAccelerators,
    put(types.aksPool, ['vmSize'], 'Standard_NC4as_T4_v3'),
  ],
  [
    'accelerated nodes for everybody',
    acceleratorsAreTainted,
    put(
      types.eksPool,
      ['taints'],
      [{ key: 'drover.dev/spot', value: 'true', effect: 'NO_SCHEDULE' }],
      /-gpu$/,
    ),
  ],
  ['a public EKS API', noOpenEndpoint, put(types.eks, ['vpcConfig', 'endpointPublicAccess'], true)],
  [
    'an EKS API for half of the internet',
    noOpenEndpoint,
    put(types.eks, ['vpcConfig'], {
      endpointPrivateAccess: true,
      endpointPublicAccess: true,
      publicAccessCidrs: ['128.0.0.0/1'],
    }),
  ],
  [
    'a GKE API without authorised networks',
    noOpenEndpoint,
    put(types.gke, ['masterAuthorizedNetworksConfig'], undefined),
  ],
  [
    'a GKE API for the world',
    noOpenEndpoint,
    put(types.gke, ['masterAuthorizedNetworksConfig', 'cidrBlocks'], [{ cidrBlock: '0.0.0.0/0' }]),
  ],
  ['public GKE nodes', noOpenEndpoint, put(types.gke, ['privateClusterConfig', 'enablePrivateNodes'], false)],
  [
    'an AKS API without authorised addresses',
    noOpenEndpoint,
    put(types.aks, ['apiServerAccessProfile', 'authorizedIPRanges'], []),
  ],
  ['AKS with local accounts', noOpenEndpoint, put(types.aks, ['disableLocalAccounts'], false)],
  ['AKS nodes with public addresses', noOpenEndpoint, put(types.aksPool, ['enableNodePublicIP'], true)],
  [
    'EKS nodes in a public subnet',
    noOpenEndpoint,
    put(types.eksPool, ['subnetIds'], ['drover-prod-aws-us-east-1-public-us-east-1a-subnet-id']),
  ],
  [
    'a security group that admits everybody',
    noOpenEndpoint,
    added('aws:ec2/securityGroup:SecurityGroup', {
      ingress: [{ protocol: 'tcp', fromPort: 22, toPort: 22, cidrBlocks: ['0.0.0.0/0'] }],
    }),
  ],
  [
    'a firewall rule that admits everybody',
    noOpenEndpoint,
    added('gcp:compute/firewall:Firewall', { sourceRanges: ['0.0.0.0/0'], allows: [{ protocol: 'tcp' }] }),
  ],
  [
    'an Azure rule that admits the internet',
    noOpenEndpoint,
    added('azure-native:network:SecurityRule', { sourceAddressPrefix: 'Internet', access: 'Allow' }),
  ],
  [
    'Argo CD on a load balancer',
    noOpenEndpoint,
    put(types.release, ['values', 'server', 'service', 'type'], 'LoadBalancer', /-argocd$/),
  ],
  [
    'Argo CD in plain text',
    noOpenEndpoint,
    put(types.release, ['values', 'configs', 'params', 'server.insecure'], true, /-argocd$/),
  ],
  ['EKS without an OIDC provider', oidcOn, without(types.awsOidc)],
  ['EKS without the agent of Pod Identity', oidcOn, without(types.eksAddon, /pod-identity-agent$/)],
  ['GKE without workload identity', oidcOn, put(types.gke, ['workloadIdentityConfig'], undefined)],
  [
    'GKE pods that see the node',
    oidcOn,
    put(types.gkePool, ['nodeConfig', 'workloadMetadataConfig', 'mode'], 'GCE_METADATA'),
  ],
  ['AKS without an issuer', oidcOn, put(types.aks, ['oidcIssuerProfile', 'enabled'], false)],
  [
    'AKS without workload identity',
    oidcOn,
    put(types.aks, ['securityProfile', 'workloadIdentity', 'enabled'], false),
  ],
  ['a VPC without tags', taggedWherePossible, put('aws:ec2/vpc:Vpc', ['tags'], undefined)],
  ['a VPC without one tag', taggedWherePossible, put('aws:ec2/vpc:Vpc', ['tags', 'owner'], undefined)],
  ['a GKE cluster without labels', taggedWherePossible, put(types.gke, ['resourceLabels'], {})],
  [
    'a notification channel without labels',
    taggedWherePossible,
    put('gcp:monitoring/notificationChannel:NotificationChannel', ['userLabels'], undefined),
  ],
  [
    'a registry without tags',
    taggedWherePossible,
    put('azure-native:containerregistry:Registry', ['tags'], {}),
  ],
  [
    'a new kind of resource without tags',
    taggedWherePossible,
    added('aws:s3/bucket:Bucket', { bucket: 'planted' }),
  ],
  ['a Secret without labels', taggedWherePossible, put(types.kubernetesSecret, ['metadata', 'labels'], {})],
  [
    'GKE nodes without labels',
    nodesAreTagged,
    put(types.gkePool, ['nodeConfig', 'resourceLabels'], undefined),
  ],
  [
    'EKS nodes without tags',
    nodesAreTagged,
    put('aws:ec2/launchTemplate:LaunchTemplate', ['tagSpecifications'], []),
  ],
  ['a plain kubeconfig', secretsAreMarked, put(types.kubernetesProvider, ['kubeconfig'], '{}')],
  [
    'a plain token of a cluster',
    secretsAreMarked,
    put(types.kubernetesSecret, ['stringData'], { config: '{}' }, /-registration$/),
  ],
  [
    'a plain token of the repository',
    secretsAreMarked,
    put(types.kubernetesSecret, ['stringData'], { password: 'p' }, /-repository$/),
  ],
  [
    'a service account with too long a name',
    namesFit,
    put('gcp:serviceaccount/account:Account', ['accountId'], 'a'.repeat(31)),
  ],
  [
    'a registry with a dash',
    namesFit,
    put('azure-native:containerregistry:Registry', ['registryName'], 'drover-dev'),
  ],
  ['too long a DNS prefix', namesFit, put(types.aks, ['dnsPrefix'], 'a'.repeat(55))],
  ['two VPCs of one name', namesFit, twice('gcp:compute/network:Network')],
  ['a cluster without a budget', everyClusterHasABudget, without(types.gcpBudget)],
  ['a budget that tells nobody', everyClusterHasABudget, put(types.awsBudget, ['notifications'], [])],
];

for (const [fault, check, breakIt] of faults) {
  test(`${fault} does not pass`, () => {
    const broken = check(breakIt(sound));
    // A rule about accelerators that were not asked for complains of the example's own, too.
    const before = check(sound);
    assert.ok(broken.length > before.length, `the check found ${JSON.stringify(broken)}`);
  });
}

test('the example of prod is sound but for the accelerators that it asks for', () => {
  const checks = new Set(faults.map(([, check]) => check));
  checks.delete(noAccelerators);
  for (const check of checks) assert.deepEqual(check(sound), []);
});
