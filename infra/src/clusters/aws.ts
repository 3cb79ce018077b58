import { Zone } from '@pulumi/aws/route53/zone.js';
import { type Output, output } from '@pulumi/pulumi';
import type { AwsConfig } from '../config.ts';
import { nodeAddons } from './aws/addons.ts';
import { awsBudget } from './aws/budget.ts';
import { awsControlPlane } from './aws/control-plane.ts';
import { autoscalerIdentity, dnsIdentity } from './aws/identities.ts';
import { type AwsNetwork, awsNetwork } from './aws/network.ts';
import { awsPools } from './aws/pools.ts';
import { awsRegistry } from './aws/registry.ts';
import { type AwsScope, awsScope } from './aws/scope.ts';
import { kubeconfigOf } from './kubeconfig.ts';
import type { Cluster, DnsZone, Foundation, Site } from './types.ts';

/** An EKS cluster with everything that belongs to it. */
export function aws(site: Site<AwsConfig>): Foundation {
  const scope = awsScope(site);
  const network = awsNetwork(scope);
  return { egress: network.egress, build: (admins) => build(scope, network, admins) };
}

function build(scope: AwsScope, network: AwsNetwork, admins: Output<string[]>): Cluster {
  const { config } = scope.site;
  const plane = awsControlPlane(scope, network, admins);
  const { cluster } = plane;
  const pools = awsPools(scope, cluster, network, [plane.network]);
  const addons = nodeAddons(scope, cluster, pools);
  autoscalerIdentity(scope, cluster);
  awsBudget(scope);
  const certificateAuthority = cluster.certificateAuthority.apply(({ data }) => data ?? '');
  const login = cluster.name.apply((clusterName) => ({
    command: 'aws',
    args: ['eks', 'get-token', '--output', 'json', '--region', config.region, '--cluster-name', clusterName],
  }));
  return {
    name: config.name,
    cloud: 'aws',
    region: config.region,
    role: config.role,
    server: cluster.endpoint,
    certificateAuthority,
    kubeconfig: kubeconfigOf(config.name, cluster.endpoint, certificateAuthority, login),
    issuer: plane.issuer,
    registry: awsRegistry(scope),
    dns: dnsZone(scope, cluster),
    ready: [...pools, ...addons],
  };
}

function dnsZone(scope: AwsScope, cluster: Parameters<typeof dnsIdentity>[1]): DnsZone | undefined {
  const { domain, labels, env } = scope.site;
  if (domain === undefined) return undefined;
  const zone = new Zone(domain, { name: domain, forceDestroy: env === 'dev', tags: labels }, scope.opts);
  dnsIdentity(scope, cluster, zone);
  return { nameServers: zone.nameServers, identity: output(''), scope: zone.zoneId, config: output('') };
}
