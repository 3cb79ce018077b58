import { ManagedCluster } from '@pulumi/azure-native/containerservice/managedCluster.js';
import { UserAssignedIdentity } from '@pulumi/azure-native/managedidentity/userAssignedIdentity.js';
import { all, type Output } from '@pulumi/pulumi';
import { cut } from '../subnets.ts';
import type { AzureNetwork } from './network.ts';
import { systemPool } from './pools.ts';
import { grant } from './roles.ts';
import type { AzureScope } from './scope.ts';

/** The AKS cluster with its system pool, which AKS does not make apart. */
export function azureControlPlane(
  scope: AzureScope,
  network: AzureNetwork,
  admins: Output<string[]>,
): ManagedCluster {
  const { name, tags, opts, place, site } = scope;
  const { adminGroupIds, api, cidr, kubernetes, tenantId } = site.config;
  const identity = new UserAssignedIdentity(
    name('id', 'control-plane'),
    { ...place, resourceName: name('id', 'control-plane'), tags },
    opts,
  );
  const mayUseSubnet = grant(
    scope,
    `${name('subnet')}-control-plane`,
    'networkContributor',
    identity.principalId,
    network.subnet.id,
  );
  return new ManagedCluster(
    name('aks'),
    {
      ...place,
      resourceName: name('aks'),
      dnsPrefix: name('aks'),
      kubernetesVersion: kubernetes,
      sku: { name: 'Base', tier: site.env === 'prod' ? 'Standard' : 'Free' },
      identity: { type: 'UserAssigned', userAssignedIdentities: [identity.id] },
      agentPoolProfiles: [systemPool(scope, network)],
      networkProfile: {
        networkPlugin: 'azure',
        networkPluginMode: 'overlay',
        // Enforces NetworkPolicies.
        networkDataplane: 'cilium',
        networkPolicy: 'cilium',
        outboundType: 'userAssignedNATGateway',
        loadBalancerSku: 'standard',
        // Outside the VNet, as AKS demands, and inside the cluster's /16, so that no two clusters overlap.
        serviceCidr: cut(cidr, 16, 20),
        dnsServiceIP: cut(cidr, 16, 20).replace('.0/20', '.10'),
        podCidr: cut(cidr, 128, 17),
      },
      apiServerAccessProfile:
        api.access === 'private'
          ? { enablePrivateCluster: true, enablePrivateClusterPublicFQDN: false, disableRunCommand: true }
          : {
              enablePrivateCluster: false,
              disableRunCommand: true,
              // The nodes come through NAT too. An empty list would open the endpoint to everybody.
              authorizedIPRanges: all([admins, network.egress]).apply(([given, own]) => [
                ...new Set([...given, ...own]),
              ]),
            },
      enableRBAC: true,
      disableLocalAccounts: true,
      aadProfile: { managed: true, tenantID: tenantId, adminGroupObjectIDs: adminGroupIds },
      oidcIssuerProfile: { enabled: true },
      securityProfile: { workloadIdentity: { enabled: true } },
      autoUpgradeProfile: { upgradeChannel: 'patch', nodeOSUpgradeChannel: 'NodeImage' },
      nodeResourceGroup: name('rg', 'nodes'),
      tags,
    },
    { ...opts, dependsOn: [mayUseSubnet], protect: site.env === 'prod' },
  );
}
