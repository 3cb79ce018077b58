import type { ManagedCluster } from '@pulumi/azure-native/containerservice/managedCluster.js';
import { Zone } from '@pulumi/azure-native/dns/zone.js';
import { FederatedIdentityCredential } from '@pulumi/azure-native/managedidentity/federatedIdentityCredential.js';
import { UserAssignedIdentity } from '@pulumi/azure-native/managedidentity/userAssignedIdentity.js';
import { interpolate, type Output, type Resource } from '@pulumi/pulumi';
import type { AzureConfig } from '../../config.ts';
import { dnsEditors } from '../../spec.ts';
import type { DnsZone } from '../types.ts';
import { grant } from './roles.ts';
import type { AzureScope } from './scope.ts';

/** The environment's zone, and one identity that its editors assume by their service account tokens, without any key. */
export function azureDns(scope: AzureScope, domain: string, cluster: ManagedCluster): DnsZone {
  const { name, tags, opts, place, group, site } = scope;
  const zone = new Zone(
    domain,
    {
      resourceGroupName: place.resourceGroupName,
      zoneName: domain,
      zoneType: 'Public',
      location: 'global',
      tags,
    },
    opts,
  );
  const identity = new UserAssignedIdentity(
    name('id', 'dns'),
    { ...place, resourceName: name('id', 'dns'), tags },
    opts,
  );
  grant(scope, `${name('id', 'dns')}-edit`, 'dnsZoneContributor', identity.principalId, zone.id);
  // To find the zone in its group.
  grant(scope, `${name('id', 'dns')}-list`, 'reader', identity.principalId, group.id);
  trustServiceAccounts(scope, identity, issuerOf(cluster));
  return {
    nameServers: zone.nameServers,
    identity: identity.clientId,
    scope: interpolate`${site.config.subscriptionId}/${group.name}`,
    config: group.name.apply((resourceGroup) => azureJson(site.config, resourceGroup)),
  };
}

/** Whose zones external-dns looks after. Who it is, its service account says. */
const azureJson = ({ tenantId, subscriptionId }: AzureConfig, resourceGroup: string): string =>
  JSON.stringify({ tenantId, subscriptionId, resourceGroup, useWorkloadIdentityExtension: true });

export const issuerOf = (cluster: ManagedCluster): Output<string> =>
  cluster.oidcIssuerProfile.apply((profile) => profile?.issuerURL ?? '');

/** One after the other: Azure refuses two changes of an identity at the same time. */
function trustServiceAccounts(
  { name, opts, place }: AzureScope,
  identity: UserAssignedIdentity,
  issuer: Output<string>,
): void {
  const dependsOn: Resource[] = [];
  for (const { namespace, serviceAccount } of dnsEditors) {
    const credential = new FederatedIdentityCredential(
      `${name('id', 'dns')}-${serviceAccount}`,
      {
        resourceGroupName: place.resourceGroupName,
        resourceName: identity.name,
        federatedIdentityCredentialResourceName: serviceAccount,
        issuer,
        subject: `system:serviceaccount:${namespace}:${serviceAccount}`,
        audiences: ['api://AzureADTokenExchange'],
      },
      { ...opts, dependsOn: [...dependsOn] },
    );
    dependsOn.push(credential);
  }
}
