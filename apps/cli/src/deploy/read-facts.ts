import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseValue } from '@drover/schemas';
import { parse } from 'yaml';
import type { z } from 'zod';
import { projectRoot } from '../config.ts';
import {
  type Cloud,
  type Environment,
  type Facts,
  factsOf,
  fleetFile,
  imageFiles,
  line,
  rootFile,
  stackFile,
} from '../core/deploy/facts.ts';
import { CliError } from '../errors.ts';

/**
 * Reads what infra/ and argocd/ say of an environment.
 * @param cloud all of its clusters have to be there; a stack is made as a whole
 * @throws CliError `missing_configuration` that names the file
 */
export function readFacts(environment: Environment, cloud: Cloud | 'all', root = projectRoot): Facts {
  const stackPath = `infra/Pulumi.${environment}.yaml`;
  const here = `argocd/environments/${environment}`;
  const facts = factsOf(environment, {
    stack: read(root, stackPath, stackFile),
    fleet: read(root, `${here}/fleet.json`, fleetFile),
    root: read(root, `argocd/root/${environment}.yaml`, rootFile),
    images: valid('argocd images', imageFiles, {
      router: content(root, `${here}/images-router.yaml`),
      server: content(root, `${here}/images-llm-server.yaml`),
    }),
  });
  if (facts === undefined)
    throw new CliError('missing_configuration', `${stackPath}: one cluster must have the role hub`);
  const others = cloud === 'all' ? [] : facts.clusters.filter((cluster) => cluster.cloud !== cloud);
  if (others.length > 0)
    throw new CliError(
      'missing_configuration',
      `${stackPath} also has ${others.map(line).join(', ')}, and a stack is made as a whole: say "all", ` +
        `or name only clusters in ${cloud} there and in ${here}/fleet.json`,
    );
  return facts;
}

const read = <T>(root: string, path: string, schema: z.ZodType<T>): T =>
  valid(path, schema, content(root, path));

function content(root: string, path: string): unknown {
  const full = join(root, path);
  if (!existsSync(full)) throw new CliError('missing_configuration', `${path} is not there`);
  try {
    // JSON is YAML.
    return parse(readFileSync(full, 'utf8'));
  } catch (error) {
    throw new CliError('missing_configuration', `${path}: ${error instanceof Error ? error.message : error}`);
  }
}

function valid<T>(path: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = parseValue<T>(schema, value);
  if (!parsed.ok) throw new CliError('missing_configuration', `${path}: ${parsed.problem}`);
  return parsed.value;
}
