import { LaunchTemplate } from '@pulumi/aws/ec2/launchTemplate.js';
import type { Cluster } from '@pulumi/aws/eks/cluster.js';
import { NodeGroup } from '@pulumi/aws/eks/nodeGroup.js';
import type { Role } from '@pulumi/aws/iam/role.js';
import type { Resource } from '@pulumi/pulumi';
import { defaultMachines, nodeLabels, type PoolKind, poolTaints } from '../../spec.ts';
import type { AwsNetwork } from './network.ts';
import { awsRole, trustService } from './roles.ts';
import type { AwsScope } from './scope.ts';

/** GiB: the system, images, and on model nodes a few models. */
const diskGib = { system: 30, spot: 50, gpu: 100 } as const satisfies Record<PoolKind, number>;

type Pool = { readonly kind: PoolKind; readonly machine: string; readonly min: number; readonly max: number };

/** The node groups: one on demand, and the spot ones that start at zero. */
export function awsPools(
  scope: AwsScope,
  cluster: Cluster,
  network: AwsNetwork,
  dependsOn: readonly Resource[],
): NodeGroup[] {
  const { pools, paused } = scope.site.config;
  const machines = defaultMachines.aws;
  const nodes = paused ? 0 : pools.system.nodes;
  const wanted: Pool[] = [
    // EKS does not accept a maximum of 0.
    {
      kind: 'system',
      machine: pools.system.machine ?? machines.system,
      min: nodes,
      max: Math.max(pools.system.nodes, 1),
    },
    { kind: 'spot', machine: pools.spot.machine ?? machines.spot, min: 0, max: pools.spot.max },
  ];
  if (pools.gpu !== undefined)
    wanted.push({ kind: 'gpu', machine: pools.gpu.machine ?? machines.gpu, min: 0, max: pools.gpu.max });
  const role = awsRole(scope, {
    part: 'node',
    trust: trustService('ec2.amazonaws.com'),
    managed: ['AmazonEKSWorkerNodePolicy', 'AmazonEC2ContainerRegistryPullOnly'],
  });
  return wanted.map((pool) => nodeGroup(scope, cluster, network, role, pool, dependsOn));
}

function nodeGroup(
  scope: AwsScope,
  cluster: Cluster,
  network: AwsNetwork,
  role: Role,
  { kind, machine, min, max }: Pool,
  dependsOn: readonly Resource[],
): NodeGroup {
  const { name, tags, opts } = scope;
  const template = launchTemplate(scope, kind);
  const spot = kind !== 'system';
  return new NodeGroup(
    `${name('eks')}-${kind}`,
    {
      clusterName: cluster.name,
      // A prefix, not a name: a group that must be replaced gets its successor first.
      nodeGroupNamePrefix: `${kind}-`,
      nodeRoleArn: role.arn,
      subnetIds: [...network.privateSubnetIds],
      capacityType: spot ? 'SPOT' : 'ON_DEMAND',
      amiType: kind === 'gpu' ? 'AL2023_x86_64_NVIDIA' : 'AL2023_x86_64_STANDARD',
      version: cluster.version,
      instanceTypes: [machine],
      scalingConfig: { minSize: min, desiredSize: min, maxSize: max },
      launchTemplate: { id: template.id, version: template.latestVersion.apply(String) },
      labels: nodeLabels[kind],
      taints: poolTaints[kind].map(({ key, value }) => ({ key, value, effect: 'NO_SCHEDULE' })),
      updateConfig: { maxUnavailable: 1 },
      tags: tags(`${name('eks')}-${kind}`),
    },
    {
      ...opts,
      dependsOn: [...dependsOn],
      // The autoscaler owns the size of a spot pool: an update must not send busy nodes away.
      ...(spot && { ignoreChanges: ['scalingConfig.desiredSize'] }),
    },
  );
}

function launchTemplate({ name, tags, opts, site }: AwsScope, kind: PoolKind): LaunchTemplate {
  const called = name('lt', kind);
  return new LaunchTemplate(
    called,
    {
      name: called,
      metadataOptions: {
        httpEndpoint: 'enabled',
        httpTokens: 'required',
        // Two hops on spot nodes: the agent's pod reads the notice of an interruption there. The nodes' role can do
        // nothing but join the cluster and pull images.
        httpPutResponseHopLimit: kind === 'system' ? 1 : 2,
      },
      blockDeviceMappings: [
        {
          deviceName: '/dev/xvda',
          ebs: {
            volumeType: 'gp3',
            volumeSize: diskGib[kind],
            encrypted: 'true',
            deleteOnTermination: 'true',
          },
        },
      ],
      tagSpecifications: ['instance', 'volume', 'network-interface'].map((resourceType) => ({
        resourceType,
        tags: { ...site.labels, Name: called },
      })),
      tags: tags(called),
    },
    opts,
  );
}
