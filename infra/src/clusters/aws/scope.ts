import type { AwsConfig } from '../../config.ts';
import { type Namer, namer } from '../../naming.ts';
import type { Site } from '../types.ts';

/** What every part of the AWS program needs. */
export type AwsScope = {
  readonly site: Site<AwsConfig>;
  readonly name: Namer<'aws'>;
  /** The tags of a thing with this name. */
  readonly tags: (called: string) => Record<string, string>;
  readonly opts: { readonly parent: Site<AwsConfig>['parent'] };
};

export const awsScope = (site: Site<AwsConfig>): AwsScope => ({
  site,
  name: namer('aws', site.env, site.config.name),
  tags: (called) => ({ ...site.labels, Name: called }),
  opts: { parent: site.parent },
});
