import type { Cluster } from '@pulumi/aws/eks/cluster.js';
import { PodIdentityAssociation } from '@pulumi/aws/eks/podIdentityAssociation.js';
import type { Role } from '@pulumi/aws/iam/role.js';
import type { Zone } from '@pulumi/aws/route53/zone.js';
import type { Output } from '@pulumi/pulumi';
import { dnsEditors } from '../../spec.ts';
import { awsRole, policy, trustPods } from './roles.ts';
import type { AwsScope } from './scope.ts';

/** The pods of a service account act as a role, without any key. */
function bind(
  { name, tags, opts }: AwsScope,
  cluster: Cluster,
  role: Role,
  account: { readonly namespace: string; readonly serviceAccount: string },
): void {
  new PodIdentityAssociation(
    `${name('eks')}-${account.serviceAccount}`,
    { clusterName: cluster.name, ...account, roleArn: role.arn, tags: tags(name('eks')) },
    opts,
  );
}

/** Lets the cluster autoscaler resize this cluster's groups and no others. */
export function autoscalerIdentity(scope: AwsScope, cluster: Cluster): void {
  const inline: Output<string> = cluster.name.apply((clusterName) =>
    policy(
      {
        Effect: 'Allow',
        Action: [
          'autoscaling:DescribeAutoScalingGroups',
          'autoscaling:DescribeAutoScalingInstances',
          'autoscaling:DescribeLaunchConfigurations',
          'autoscaling:DescribeScalingActivities',
          'autoscaling:DescribeTags',
          'ec2:DescribeImages',
          'ec2:DescribeInstanceTypes',
          'ec2:DescribeLaunchTemplateVersions',
          'ec2:GetInstanceTypesFromInstanceRequirements',
          // Tells the labels and taints of a group that has no node yet.
          'eks:DescribeNodegroup',
        ],
        Resource: '*',
      },
      {
        Effect: 'Allow',
        Action: ['autoscaling:SetDesiredCapacity', 'autoscaling:TerminateInstanceInAutoScalingGroup'],
        Resource: '*',
        Condition: {
          StringEquals: { [`aws:ResourceTag/k8s.io/cluster-autoscaler/${clusterName}`]: 'owned' },
        },
      },
    ),
  );
  const role = awsRole(scope, { part: 'autoscaler', trust: trustPods, inline });
  bind(scope, cluster, role, { namespace: 'kube-system', serviceAccount: 'cluster-autoscaler' });
}

/** Lets external-dns and cert-manager edit one zone. */
export function dnsIdentity(scope: AwsScope, cluster: Cluster, zone: Zone): void {
  const inline = zone.arn.apply((arn) =>
    policy(
      {
        Effect: 'Allow',
        Action: ['route53:ChangeResourceRecordSets', 'route53:ListResourceRecordSets'],
        Resource: arn,
      },
      {
        Effect: 'Allow',
        Action: ['route53:ListHostedZones', 'route53:ListHostedZonesByName', 'route53:GetChange'],
        Resource: '*',
      },
    ),
  );
  const role = awsRole(scope, { part: 'dns', trust: trustPods, inline });
  for (const account of dnsEditors) bind(scope, cluster, role, account);
}
