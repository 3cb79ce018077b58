import { Addon, type AddonArgs } from '@pulumi/aws/eks/addon.js';
import type { Cluster } from '@pulumi/aws/eks/cluster.js';
import type { Resource } from '@pulumi/pulumi';
import { awsRole, trustPods } from './roles.ts';
import type { AwsScope } from './scope.ts';

type Settings = Pick<AddonArgs, 'serviceAccountRoleArn' | 'configurationValues' | 'podIdentityAssociations'>;

/** One EKS add-on, in the version that EKS recommends for the cluster. */
export function addon(
  { name, tags, opts }: AwsScope,
  cluster: Cluster,
  addonName: string,
  settings: Settings,
  dependsOn: readonly Resource[] = [],
): Addon {
  return new Addon(
    `${name('eks')}-${addonName}`,
    {
      clusterName: cluster.name,
      addonName,
      resolveConflictsOnCreate: 'OVERWRITE',
      resolveConflictsOnUpdate: 'PRESERVE',
      tags: tags(name('eks')),
      ...settings,
    },
    { ...opts, dependsOn: [...dependsOn] },
  );
}

/** The add-ons that run on nodes: proxy, DNS, the agent of Pod Identity, and disks. */
export function nodeAddons(scope: AwsScope, cluster: Cluster, nodes: readonly Resource[]): Addon[] {
  const disks = awsRole(scope, {
    part: 'disks',
    trust: trustPods,
    managed: ['service-role/AmazonEBSCSIDriverPolicy'],
  });
  const identity = addon(scope, cluster, 'eks-pod-identity-agent', {}, nodes);
  return [
    identity,
    addon(scope, cluster, 'kube-proxy', {}, nodes),
    addon(scope, cluster, 'coredns', {}, nodes),
    addon(
      scope,
      cluster,
      'aws-ebs-csi-driver',
      { podIdentityAssociations: [{ roleArn: disks.arn, serviceAccount: 'ebs-csi-controller-sa' }] },
      [identity],
    ),
  ];
}
