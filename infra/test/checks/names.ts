import type { Recorded } from '../support/deploy.ts';
import { at } from '../support/read.ts';
import type { Check } from './check.ts';

type Rule = { readonly field: string; readonly pattern: RegExp };

const gcpName = (max: number): RegExp => new RegExp(`^[a-z](?:[a-z0-9-]{0,${max - 2}}[a-z0-9])?$`);

/**
 * What each service accepts as a name, from its API reference, written down apart from the program's own table of
 * limits, which it is to check.
 */
const rules: Readonly<Record<string, Rule>> = {
  'aws:eks/cluster:Cluster': { field: 'name', pattern: /^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/ },
  'aws:eks/nodeGroup:NodeGroup': {
    field: 'nodeGroupNamePrefix',
    pattern: /^[0-9A-Za-z][A-Za-z0-9_-]{0,36}$/,
  },
  'aws:iam/role:Role': { field: 'name', pattern: /^[\w+=,.@-]{1,64}$/ },
  'aws:ecr/repository:Repository': {
    field: 'name',
    pattern: /^(?=.{2,256}$)(?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$/,
  },
  'aws:ec2/launchTemplate:LaunchTemplate': { field: 'name', pattern: /^[a-zA-Z0-9()./_-]{3,128}$/ },
  'aws:budgets/budget:Budget': { field: 'name', pattern: /^[^:\\]{1,100}$/ },
  'gcp:compute/network:Network': { field: 'name', pattern: gcpName(63) },
  'gcp:compute/subnetwork:Subnetwork': { field: 'name', pattern: gcpName(63) },
  'gcp:compute/router:Router': { field: 'name', pattern: gcpName(63) },
  'gcp:compute/routerNat:RouterNat': { field: 'name', pattern: gcpName(63) },
  'gcp:compute/address:Address': { field: 'name', pattern: gcpName(63) },
  'gcp:container/cluster:Cluster': { field: 'name', pattern: gcpName(40) },
  'gcp:container/nodePool:NodePool': { field: 'name', pattern: gcpName(40) },
  'gcp:serviceaccount/account:Account': { field: 'accountId', pattern: /^[a-z](?:[a-z0-9-]{4,28}[a-z0-9])$/ },
  'gcp:artifactregistry/repository:Repository': { field: 'repositoryId', pattern: gcpName(63) },
  'gcp:dns/managedZone:ManagedZone': { field: 'name', pattern: gcpName(63) },
  'gcp:billing/budget:Budget': { field: 'displayName', pattern: /^.{1,60}$/ },
  'azure-native:resources:ResourceGroup': { field: 'resourceGroupName', pattern: /^[\w().-]{0,89}[\w()-]$/ },
  'azure-native:network:VirtualNetwork': {
    field: 'virtualNetworkName',
    pattern: /^[a-zA-Z0-9][\w.-]{0,62}\w$/,
  },
  'azure-native:network:Subnet': { field: 'subnetName', pattern: /^[a-zA-Z0-9][\w.-]{0,78}\w$/ },
  'azure-native:network:NatGateway': { field: 'natGatewayName', pattern: /^[a-zA-Z0-9][\w.-]{0,78}\w$/ },
  'azure-native:network:PublicIPAddress': {
    field: 'publicIpAddressName',
    pattern: /^[a-zA-Z0-9][\w.-]{0,78}\w$/,
  },
  'azure-native:containerservice:ManagedCluster': {
    field: 'resourceName',
    pattern: /^[a-zA-Z0-9](?:[\w-]{0,61}[a-zA-Z0-9])?$/,
  },
  'azure-native:containerservice:AgentPool': { field: 'agentPoolName', pattern: /^[a-z][a-z0-9]{0,11}$/ },
  'azure-native:managedidentity:UserAssignedIdentity': {
    field: 'resourceName',
    pattern: /^[a-zA-Z0-9][\w-]{2,127}$/,
  },
  'azure-native:containerregistry:Registry': { field: 'registryName', pattern: /^[a-zA-Z0-9]{5,50}$/ },
  'azure-native:consumption:Budget': { field: 'budgetName', pattern: /^[\w-]{1,63}$/ },
};

/** Names that a resource gives away besides its own. */
const furtherRules: readonly (Rule & { readonly type: string })[] = [
  {
    type: 'azure-native:containerservice:ManagedCluster',
    field: 'dnsPrefix',
    pattern: /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,52}[a-zA-Z0-9])?$/,
  },
  {
    type: 'azure-native:containerservice:ManagedCluster',
    field: 'nodeResourceGroup',
    pattern: /^[\w().-]{0,79}[\w()-]$/,
  },
];

/** Pools are named within their cluster; everything else within its account. */
const scopeOf = ({ inputs }: Recorded): string =>
  String(at(inputs, 'clusterName') ?? at(inputs, 'cluster') ?? '') +
  (at(inputs, 'agentPoolName') === undefined ? '' : String(at(inputs, 'resourceName')));

const duplicates = (values: readonly string[]): readonly string[] =>
  values.filter((value, index) => values.indexOf(value) !== index);

/** Names are what the clouds accept, and no two things of a kind share one. */
export const namesFit: Check = (resources) => {
  const named = resources.flatMap((resource) => {
    const rule = rules[resource.type];
    return rule === undefined ? [] : [{ resource, rule, name: at(resource.inputs, rule.field) }];
  });
  return [
    ...named
      .filter(({ name, rule }) => typeof name !== 'string' || !rule.pattern.test(name))
      .map(({ resource, name }) => `${resource.type}: ${String(name)} is no name there`),
    ...resources.flatMap(({ type, inputs }) =>
      furtherRules
        .filter((rule) => rule.type === type && !rule.pattern.test(String(at(inputs, rule.field))))
        .map(({ field }) => `${type}: ${String(at(inputs, field))} is no ${field}`),
    ),
    ...duplicates(
      named.map(({ resource, name }) => `${resource.type} ${scopeOf(resource)}/${String(name)}`),
    ).map((name) => `${name}: twice`),
    ...duplicates(resources.map(({ type, name }) => `${type} ${name}`)).map((name) => `${name}: twice`),
  ];
};
