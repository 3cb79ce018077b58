import type { Addon } from '@pulumi/aws/eks/addon.js';
import { Cluster } from '@pulumi/aws/eks/cluster.js';
import { OpenIdConnectProvider } from '@pulumi/aws/iam/openIdConnectProvider.js';
import { all, type Output } from '@pulumi/pulumi';
import { addon } from './addons.ts';
import type { AwsNetwork } from './network.ts';
import { awsRole, policy, trustService } from './roles.ts';
import type { AwsScope } from './scope.ts';

export type AwsControlPlane = {
  readonly cluster: Cluster;
  readonly issuer: Output<string>;
  /** Makes nodes useful: pods get no address before. */
  readonly network: Addon;
};

/** The EKS cluster, its OIDC provider and the add-ons that do not need nodes. */
export function awsControlPlane(
  scope: AwsScope,
  network: AwsNetwork,
  admins: Output<string[]>,
): AwsControlPlane {
  const { name, tags, opts, site } = scope;
  const { api, kubernetes } = site.config;
  const role = awsRole(scope, {
    part: 'control-plane',
    trust: trustService('eks.amazonaws.com'),
    managed: ['AmazonEKSClusterPolicy'],
  });
  const open = api.access === 'authorised';
  const cluster = new Cluster(
    name('eks'),
    {
      name: name('eks'),
      version: kubernetes,
      roleArn: role.arn,
      vpcConfig: {
        subnetIds: [...network.privateSubnetIds],
        endpointPrivateAccess: true,
        endpointPublicAccess: open,
        ...(open && { publicAccessCidrs: admins }),
      },
      accessConfig: { authenticationMode: 'API', bootstrapClusterCreatorAdminPermissions: true },
      enabledClusterLogTypes: ['audit', 'authenticator'],
      deletionProtection: site.env === 'prod',
      tags: tags(name('eks')),
    },
    opts,
  );
  const issuer = cluster.identities.apply((list) => list[0]?.oidcs?.[0]?.issuer ?? '');
  const provider = new OpenIdConnectProvider(
    `${name('eks')}-oidc`,
    { url: issuer, clientIdLists: ['sts.amazonaws.com'], tags: tags(name('eks')) },
    opts,
  );
  return { cluster, issuer, network: networkAddon(scope, cluster, provider, issuer) };
}

/**
 * The CNI by a role of its own (IRSA), so that the nodes' role, which any pod on a node could borrow, cannot touch
 * network interfaces. It enforces NetworkPolicies.
 */
function networkAddon(
  scope: AwsScope,
  cluster: Cluster,
  provider: OpenIdConnectProvider,
  issuer: Output<string>,
): Addon {
  const trust = all([provider.arn, issuer]).apply(([arn, url]) => {
    const host = url.replace('https://', '');
    return policy({
      Effect: 'Allow',
      Principal: { Federated: arn },
      Action: 'sts:AssumeRoleWithWebIdentity',
      Condition: {
        StringEquals: {
          [`${host}:aud`]: 'sts.amazonaws.com',
          [`${host}:sub`]: 'system:serviceaccount:kube-system:aws-node',
        },
      },
    });
  });
  const role = awsRole(scope, { part: 'cni', trust, managed: ['AmazonEKS_CNI_Policy'] });
  return addon(scope, cluster, 'vpc-cni', {
    serviceAccountRoleArn: role.arn,
    configurationValues: JSON.stringify({ enableNetworkPolicy: 'true' }),
  });
}
