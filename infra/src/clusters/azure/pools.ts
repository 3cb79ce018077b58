import { AgentPool } from '@pulumi/azure-native/containerservice/agentPool.js';
import type { ManagedCluster } from '@pulumi/azure-native/containerservice/managedCluster.js';
import { defaultMachines, nodeLabels, type PoolKind, taintsMet } from '../../spec.ts';
import type { AzureNetwork } from './network.ts';
import type { AzureScope } from './scope.ts';

/** GiB: the system, images, and on model nodes a few models. */
const diskGib = { system: 64, spot: 64, gpu: 128 } as const satisfies Record<PoolKind, number>;

/** What pools have in common. The names of AKS pools are at most 12 letters: each kind is its pool's name. */
const common = ({ site, tags }: AzureScope, { subnet }: AzureNetwork, kind: PoolKind) => ({
  vnetSubnetID: subnet.id,
  availabilityZones: [...site.config.zones],
  osType: 'Linux',
  osSKU: 'AzureLinux',
  osDiskSizeGB: diskGib[kind],
  type: 'VirtualMachineScaleSets',
  enableNodePublicIP: false,
  orchestratorVersion: site.config.kubernetes,
  nodeLabels: { ...nodeLabels[kind] },
  tags,
});

/** On demand. AKS keeps at least one system node: a paused cluster has one, unless it is stopped as a whole. */
export const systemPool = (scope: AzureScope, network: AzureNetwork) => {
  const { pools, paused } = scope.site.config;
  return {
    ...common(scope, network, 'system'),
    name: 'system',
    mode: 'System',
    vmSize: pools.system.machine ?? defaultMachines.azure.system,
    count: paused ? 1 : pools.system.nodes,
    enableAutoScaling: false,
  };
};

/** The spot pools, which start at zero. */
export function azureSpotPools(
  scope: AzureScope,
  network: AzureNetwork,
  cluster: ManagedCluster,
): AgentPool[] {
  const { pools } = scope.site.config;
  const machines = defaultMachines.azure;
  const made = [
    spotPool(scope, network, cluster, 'spot', pools.spot.machine ?? machines.spot, pools.spot.max),
  ];
  if (pools.gpu !== undefined)
    made.push(spotPool(scope, network, cluster, 'gpu', pools.gpu.machine ?? machines.gpu, pools.gpu.max));
  return made;
}

function spotPool(
  scope: AzureScope,
  network: AzureNetwork,
  cluster: ManagedCluster,
  kind: 'spot' | 'gpu',
  vmSize: string,
  maxCount: number,
): AgentPool {
  const { name, opts, place } = scope;
  return new AgentPool(
    `${name('aks')}-${kind}`,
    {
      ...common(scope, network, kind),
      resourceGroupName: place.resourceGroupName,
      resourceName: cluster.name,
      agentPoolName: kind,
      mode: 'User',
      vmSize,
      scaleSetPriority: 'Spot',
      scaleSetEvictionPolicy: 'Delete',
      // Never more than the on-demand price, and never evicted for the price.
      spotMaxPrice: -1,
      enableAutoScaling: true,
      count: 0,
      minCount: 0,
      maxCount,
      // AKS wants its own taint and label for spot nodes named, and adds them otherwise.
      nodeTaints: taintsMet('azure', kind).map(({ key, value, effect }) => `${key}=${value}:${effect}`),
      nodeLabels: { ...nodeLabels[kind], 'kubernetes.azure.com/scalesetpriority': 'spot' },
    },
    // The autoscaler owns the size: an update must not send busy nodes away.
    { ...opts, ignoreChanges: ['count'] },
  );
}
