import { ResourceGroup } from '@pulumi/azure-native/resources/resourceGroup.js';
import type { AzureConfig } from '../../config.ts';
import { type Namer, namer } from '../../naming.ts';
import type { Site } from '../types.ts';

/** What every part of the Azure program needs. */
export type AzureScope = {
  readonly site: Site<AzureConfig>;
  readonly name: Namer<'azure'>;
  readonly tags: Record<string, string>;
  readonly opts: { readonly parent: Site<AzureConfig>['parent'] };
  /** Everything of the cluster is in it, and its budget counts it. */
  readonly group: ResourceGroup;
  /** Where a resource is, as most of them ask it. */
  readonly place: { readonly resourceGroupName: ResourceGroup['name']; readonly location: string };
};

export function azureScope(site: Site<AzureConfig>): AzureScope {
  const name = namer('azure', site.env, site.config.name);
  const opts = { parent: site.parent };
  const tags = { ...site.labels };
  const location = site.config.region;
  const group = new ResourceGroup(name('rg'), { resourceGroupName: name('rg'), location, tags }, opts);
  return { site, name, tags, opts, group, place: { resourceGroupName: group.name, location } };
}
