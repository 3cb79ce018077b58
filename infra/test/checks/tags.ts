import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Recorded } from '../support/deploy.ts';
import { at } from '../support/read.ts';
import type { Check } from './check.ts';

const require = createRequire(import.meta.url);

/** The arguments that hold tags or labels, in the order of preference: `labels` of a few GCP resources are settings. */
const tagArguments = ['tags', 'resourceLabels', 'userLabels', 'labels'] as const;

const known = new Map<string, string | undefined>();

/**
 * Which argument of a resource holds its tags, as its SDK says, so that a resource that is added later is checked too.
 * @returns undefined when the resource cannot be tagged
 */
export function tagArgumentOf(type: string): string | undefined {
  if (!known.has(type)) known.set(type, findTagArgument(type));
  return known.get(type);
}

function findTagArgument(type: string): string | undefined {
  const source = sourceOf(type);
  if (source === undefined) return undefined;
  return tagArguments.find((name) => source.includes(`resourceInputs["${name}"] = args`));
}

/** The SDK's file of a resource: `aws:ec2/vpc:Vpc` is `@pulumi/aws/ec2/vpc.js`. */
function sourceOf(type: string): string | undefined {
  const [sdk = '', module = '', name = ''] = type.split(':');
  if (!['aws', 'gcp', 'azure-native'].includes(sdk)) return undefined;
  const folder = dirname(require.resolve(`@pulumi/${sdk}/package.json`));
  const file = `${name.charAt(0).toLowerCase()}${name.slice(1)}.js`;
  const candidates = [
    join(folder, `${module}.js`),
    join(folder, `${module.toLowerCase()}.js`),
    join(folder, module, file),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`the SDK has no file for ${type}`);
  return readFileSync(found, 'utf8');
}

const wanted = ['project', 'env', 'cluster', 'cloud', 'region', 'role', 'owner', 'managed-by'] as const;

const missing = (tags: unknown): readonly string[] =>
  wanted.filter((key) => typeof at(tags, key) !== 'string' || at(tags, key) === '');

/** Kubernetes objects are labelled; what Helm makes is Helm's. */
const tagsOf = ({ type, inputs }: Recorded): { tags: unknown } | undefined => {
  if (type.startsWith('kubernetes:') && !type.endsWith(':Release'))
    return { tags: at(inputs, 'metadata', 'labels') };
  const argument = tagArgumentOf(type);
  return argument === undefined ? undefined : { tags: at(inputs, argument) };
};

/** Everything that can carry tags carries all of them. */
export const taggedWherePossible: Check = (resources) =>
  resources.flatMap((resource) => {
    const found = tagsOf(resource);
    const lacking = found === undefined ? [] : missing(found.tags);
    return lacking.length === 0 ? [] : [`${resource.type} ${resource.name}: lacks ${lacking.join()}`];
  });

/** The nodes and their disks, which cost most, are tagged by their pool. */
export const nodesAreTagged: Check = (resources) =>
  resources.flatMap(({ type, name, inputs }) => {
    const places: unknown[] = [];
    if (type === 'aws:ec2/launchTemplate:LaunchTemplate')
      for (const index of [0, 1]) places.push(at(inputs, 'tagSpecifications', index, 'tags'));
    if (type === 'gcp:container/nodePool:NodePool') places.push(at(inputs, 'nodeConfig', 'resourceLabels'));
    if (type === 'azure-native:containerservice:ManagedCluster')
      places.push(at(inputs, 'agentPoolProfiles', 0, 'tags'));
    return places.filter((tags) => missing(tags).length > 0).map(() => `${name}: nodes lack tags`);
  });
