import { Cluster } from '@pulumi/gcp/container/cluster.js';
import { IAMMember } from '@pulumi/gcp/projects/iammember.js';
import { Account } from '@pulumi/gcp/serviceaccount/account.js';
import type { Output } from '@pulumi/pulumi';
import { type GcpNetwork, ranges } from './network.ts';
import type { GcpScope } from './scope.ts';

/** The nodes' own identity: it writes logs and metrics. Google's default one could edit the whole project. */
export function nodeAccount({ name, opts, site }: GcpScope): Account {
  const { project } = site.config;
  const account = new Account(
    name('sa', 'node'),
    { accountId: name('sa', 'node'), displayName: `Nodes of ${site.config.name}`, project },
    opts,
  );
  new IAMMember(
    `${name('sa', 'node')}-role`,
    { project, role: 'roles/container.defaultNodeServiceAccount', member: account.member },
    opts,
  );
  return account;
}

/** The identities of pods: every service account of the cluster is a principal of this pool. */
export const workloadPool = ({ site }: GcpScope): string => `${site.config.project}.svc.id.goog`;

/** A regional GKE cluster without nodes; the pools come beside it. */
export function gcpControlPlane(
  scope: GcpScope,
  { network, subnet, nat }: GcpNetwork,
  account: Account,
  admins: Output<string[]>,
): Cluster {
  const { name, labels, opts, site } = scope;
  const { api, kubernetes, project, region, zones } = site.config;
  return new Cluster(
    name('gke'),
    {
      name: name('gke'),
      project,
      location: region,
      nodeLocations: zones,
      network: network.id,
      subnetwork: subnet.id,
      releaseChannel: { channel: 'REGULAR' },
      minMasterVersion: kubernetes,
      removeDefaultNodePool: true,
      initialNodeCount: 1,
      // For the pool that exists for a few minutes only; without it, it would have Google's default identity.
      nodeConfig: { serviceAccount: account.email, oauthScopes: [cloudPlatform] },
      ipAllocationPolicy: {
        clusterSecondaryRangeName: ranges.pods,
        servicesSecondaryRangeName: ranges.services,
      },
      privateClusterConfig: { enablePrivateNodes: true, enablePrivateEndpoint: api.access === 'private' },
      // Present even when empty: an absent block would open the endpoint to everybody.
      masterAuthorizedNetworksConfig: {
        cidrBlocks: admins.apply((cidrs) => cidrs.map((cidrBlock) => ({ cidrBlock }))),
        gcpPublicCidrsAccessEnabled: false,
      },
      workloadIdentityConfig: { workloadPool: workloadPool(scope) },
      // Enforces NetworkPolicies.
      datapathProvider: 'ADVANCED_DATAPATH',
      enableShieldedNodes: true,
      masterAuth: { clientCertificateConfig: { issueClientCertificate: false } },
      costManagementConfig: { enabled: true },
      monitoringConfig: { enableComponents: ['SYSTEM_COMPONENTS'], managedPrometheus: { enabled: false } },
      deletionProtection: site.env === 'prod',
      resourceLabels: labels,
    },
    // The temporary pool needs NAT to become healthy. Its configuration is of no interest later.
    { ...opts, dependsOn: [nat], ignoreChanges: ['nodeConfig', 'initialNodeCount'] },
  );
}

/** What a node may do is said by the roles of its account, not by scopes. */
export const cloudPlatform = 'https://www.googleapis.com/auth/cloud-platform';
