import type { GcpConfig } from '../../config.ts';
import { type Namer, namer } from '../../naming.ts';
import type { Site } from '../types.ts';

/** What every part of the GCP program needs. */
export type GcpScope = {
  readonly site: Site<GcpConfig>;
  readonly name: Namer<'gcp'>;
  readonly labels: Record<string, string>;
  readonly opts: { readonly parent: Site<GcpConfig>['parent'] };
};

export const gcpScope = (site: Site<GcpConfig>): GcpScope => ({
  site,
  name: namer('gcp', site.env, site.config.name),
  labels: { ...site.labels },
  opts: { parent: site.parent },
});
