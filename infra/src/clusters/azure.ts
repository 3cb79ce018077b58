import { listManagedClusterUserCredentialsOutput } from '@pulumi/azure-native/containerservice/listManagedClusterUserCredentials.js';
import type { ManagedCluster } from '@pulumi/azure-native/containerservice/managedCluster.js';
import { type Output, output } from '@pulumi/pulumi';
import { parse } from 'yaml';
import { z } from 'zod';
import type { AzureConfig } from '../config.ts';
import { azureBudget } from './azure/budget.ts';
import { azureControlPlane } from './azure/control-plane.ts';
import { azureDns, issuerOf } from './azure/dns.ts';
import { type AzureNetwork, azureNetwork } from './azure/network.ts';
import { azureSpotPools } from './azure/pools.ts';
import { azureRegistry } from './azure/registry.ts';
import { type AzureScope, azureScope } from './azure/scope.ts';
import { kubeconfigOf } from './kubeconfig.ts';
import type { Cluster, Foundation, Site } from './types.ts';

/** The application that stands for AKS in every Entra ID tenant. */
const aksServerId = '6dae42f8-4368-4678-94ff-3960e28e3630';

/** An AKS cluster with everything that belongs to it. */
export function azure(site: Site<AzureConfig>): Foundation {
  const scope = azureScope(site);
  const network = azureNetwork(scope);
  return { egress: network.egress, build: (admins) => build(scope, network, admins) };
}

function build(scope: AzureScope, network: AzureNetwork, admins: Output<string[]>): Cluster {
  const { config, domain } = scope.site;
  const cluster = azureControlPlane(scope, network, admins);
  const pools = azureSpotPools(scope, network, cluster);
  azureBudget(scope);
  const api = apiOf(scope, cluster);
  const server = api.apply((found) => found.server);
  const certificateAuthority = api.apply((found) => found['certificate-authority-data']);
  const login = output({
    command: 'kubelogin',
    args: ['get-token', '--login', 'azurecli', '--server-id', aksServerId],
  });
  return {
    name: config.name,
    cloud: 'azure',
    region: config.region,
    role: config.role,
    server,
    certificateAuthority,
    kubeconfig: kubeconfigOf(config.name, server, certificateAuthority, login),
    issuer: issuerOf(cluster),
    registry: azureRegistry(scope, cluster),
    dns: domain === undefined ? undefined : azureDns(scope, domain, cluster),
    ready: [cluster, ...pools],
  };
}

const found = z.object({
  clusters: z.array(
    z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.string() }) }),
  ),
});

/** AKS tells its certificate authority in a kubeconfig only. That one has no credential: local accounts are off. */
const apiOf = ({ place, opts }: AzureScope, cluster: ManagedCluster) =>
  listManagedClusterUserCredentialsOutput(
    { resourceGroupName: place.resourceGroupName, resourceName: cluster.name },
    opts,
  ).apply(({ kubeconfigs }) => {
    const text = Buffer.from(kubeconfigs[0]?.value ?? '', 'base64').toString('utf8');
    const [first] = found.parse(parse(text)).clusters;
    if (first === undefined) throw new Error('the kubeconfig of AKS names no cluster');
    return first.cluster;
  });
