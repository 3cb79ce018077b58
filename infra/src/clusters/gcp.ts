import { interpolate, type Output, output } from '@pulumi/pulumi';
import type { GcpConfig } from '../config.ts';
import { gcpBudget } from './gcp/budget.ts';
import { gcpControlPlane, nodeAccount } from './gcp/control-plane.ts';
import { gcpDns } from './gcp/dns.ts';
import { type GcpNetwork, gcpNetwork } from './gcp/network.ts';
import { gcpPools } from './gcp/pools.ts';
import { gcpRegistry } from './gcp/registry.ts';
import { type GcpScope, gcpScope } from './gcp/scope.ts';
import { kubeconfigOf } from './kubeconfig.ts';
import type { Cluster, Foundation, Site } from './types.ts';

/** A GKE cluster with everything that belongs to it. */
export function gcp(site: Site<GcpConfig>): Foundation {
  const scope = gcpScope(site);
  const network = gcpNetwork(scope);
  return { egress: network.egress, build: (admins) => build(scope, network, admins) };
}

function build(scope: GcpScope, network: GcpNetwork, admins: Output<string[]>): Cluster {
  const { config, domain } = scope.site;
  const account = nodeAccount(scope);
  const cluster = gcpControlPlane(scope, network, account, admins);
  const pools = gcpPools(scope, cluster, account);
  gcpBudget(scope, network);
  const server = interpolate`https://${cluster.endpoint}`;
  const certificateAuthority = cluster.masterAuth.apply((auth) => auth.clusterCaCertificate);
  return {
    name: config.name,
    cloud: 'gcp',
    region: config.region,
    role: config.role,
    server,
    certificateAuthority,
    kubeconfig: kubeconfigOf(
      config.name,
      server,
      certificateAuthority,
      output({ command: 'gke-gcloud-auth-plugin', args: [] }),
    ),
    issuer: interpolate`https://container.googleapis.com/v1/${cluster.id}`,
    registry: gcpRegistry(scope, network, account),
    dns: domain === undefined ? undefined : gcpDns(scope, domain, network),
    ready: pools,
  };
}
