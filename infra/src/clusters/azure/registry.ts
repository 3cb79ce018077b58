import { Registry } from '@pulumi/azure-native/containerregistry/registry.js';
import type { ManagedCluster } from '@pulumi/azure-native/containerservice/managedCluster.js';
import type { Output } from '@pulumi/pulumi';
import { grant } from './roles.ts';
import type { AzureScope } from './scope.ts';

/** One registry for all images, which the nodes may read. @returns what the images' names begin with */
export function azureRegistry(scope: AzureScope, cluster: ManagedCluster): Output<string> {
  const { name, tags, opts, place, site } = scope;
  // Its name is a host name: the subscription makes it unlike everybody else's.
  const called = name('acr', undefined, site.config.subscriptionId);
  const registry = new Registry(
    called,
    {
      ...place,
      registryName: called,
      sku: { name: 'Basic' },
      adminUserEnabled: false,
      anonymousPullEnabled: false,
      tags,
    },
    opts,
  );
  const kubelet = cluster.identityProfile.apply((profile) => profile?.kubeletidentity?.objectId ?? '');
  grant(scope, `${called}-nodes`, 'acrPull', kubelet, registry.id);
  return registry.loginServer;
}
