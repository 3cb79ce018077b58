import type { Cluster } from '@pulumi/gcp/container/cluster.js';
import { NodePool, type NodePoolArgs } from '@pulumi/gcp/container/nodePool.js';
import type { Account } from '@pulumi/gcp/serviceaccount/account.js';
import { defaultMachines, gcpAccelerator, nodeLabels, type PoolKind, poolTaints } from '../../spec.ts';
import { cloudPlatform } from './control-plane.ts';
import type { GcpScope } from './scope.ts';

/** GB: the system, images, and on model nodes a few models. */
const diskGb = { system: 30, spot: 50, gpu: 100 } as const satisfies Record<PoolKind, number>;

type Size = Pick<NodePoolArgs, 'nodeCount' | 'initialNodeCount' | 'autoscaling'>;

/** The node pools: one on demand, and the spot ones that start at zero. */
export function gcpPools(scope: GcpScope, cluster: Cluster, account: Account): NodePool[] {
  const { pools, paused, zones } = scope.site.config;
  const machines = defaultMachines.gcp;
  // GKE counts per zone.
  const perZone = paused ? 0 : Math.ceil(pools.system.nodes / zones.length);
  const pool = (kind: PoolKind, machine: string, size: Size): NodePool =>
    nodePool(scope, cluster, account, kind, machine, size);
  const made = [
    pool('system', pools.system.machine ?? machines.system, { nodeCount: perZone }),
    pool('spot', pools.spot.machine ?? machines.spot, fromZero(pools.spot.max)),
  ];
  if (pools.gpu !== undefined)
    made.push(pool('gpu', pools.gpu.machine ?? machines.gpu, fromZero(pools.gpu.max)));
  return made;
}

/** In all zones together; wherever spot capacity is to be had. */
const fromZero = (max: number): Size => ({
  initialNodeCount: 0,
  autoscaling: { totalMinNodeCount: 0, totalMaxNodeCount: max, locationPolicy: 'ANY' },
});

function nodePool(
  { name, labels, opts, site }: GcpScope,
  cluster: Cluster,
  account: Account,
  kind: PoolKind,
  machineType: string,
  size: Size,
): NodePool {
  const spot = kind !== 'system';
  return new NodePool(
    `${name('gke')}-${kind}`,
    {
      ...size,
      name: kind,
      cluster: cluster.name,
      project: site.config.project,
      location: site.config.region,
      management: { autoRepair: true, autoUpgrade: true },
      nodeConfig: {
        machineType,
        spot,
        diskType: 'pd-balanced',
        diskSizeGb: diskGb[kind],
        serviceAccount: account.email,
        oauthScopes: [cloudPlatform],
        labels: nodeLabels[kind],
        resourceLabels: labels,
        // GKE adds the accelerator's taint by itself, but not when the pool comes before any other; so it is named.
        taints: poolTaints[kind].map(({ key, value }) => ({ key, value, effect: 'NO_SCHEDULE' })),
        workloadMetadataConfig: { mode: 'GKE_METADATA' },
        shieldedInstanceConfig: { enableSecureBoot: kind !== 'gpu', enableIntegrityMonitoring: true },
        metadata: { 'disable-legacy-endpoints': 'true' },
        ...(kind === 'gpu' && {
          guestAccelerators: [
            {
              type: gcpAccelerator,
              count: 1,
              gpuDriverInstallationConfig: { gpuDriverVersion: 'DEFAULT' },
            },
          ],
        }),
      },
    },
    { ...opts, ...(spot && { ignoreChanges: ['initialNodeCount', 'nodeCount'] }) },
  );
}
