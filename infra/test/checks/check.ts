import type { Recorded } from '../support/deploy.ts';

/** Says what is wrong with a fleet, one sentence for each fault; an empty list means that the rule holds. */
export type Check = (resources: readonly Recorded[]) => readonly string[];

export const types = {
  eks: 'aws:eks/cluster:Cluster',
  eksPool: 'aws:eks/nodeGroup:NodeGroup',
  eksAddon: 'aws:eks/addon:Addon',
  awsOidc: 'aws:iam/openIdConnectProvider:OpenIdConnectProvider',
  awsSubnet: 'aws:ec2/subnet:Subnet',
  awsRoutes: 'aws:ec2/routeTable:RouteTable',
  awsBudget: 'aws:budgets/budget:Budget',
  gke: 'gcp:container/cluster:Cluster',
  gkePool: 'gcp:container/nodePool:NodePool',
  gcpBudget: 'gcp:billing/budget:Budget',
  aks: 'azure-native:containerservice:ManagedCluster',
  aksPool: 'azure-native:containerservice:AgentPool',
  azureBudget: 'azure-native:consumption:Budget',
  kubernetesProvider: 'pulumi:providers:kubernetes',
  kubernetesSecret: 'kubernetes:core/v1:Secret',
  release: 'kubernetes:helm.sh/v3:Release',
} as const;

export const ofType = (resources: readonly Recorded[], type: string): readonly Recorded[] =>
  resources.filter((resource) => resource.type === type);
