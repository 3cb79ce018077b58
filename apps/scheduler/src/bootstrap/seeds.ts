import { readFileSync } from 'node:fs';
import {
  buckets,
  catalogue,
  clusterId,
  type Parsed,
  parseValue,
  policy,
  policyKeys,
  tariff,
} from '@drover/schemas';
import { z } from 'zod';

/** A value to be put into KV where the key is absent. */
export type Seed = { readonly bucket: string; readonly key: string; readonly json: string };

export type SeedFiles = {
  readonly policy?: string | undefined;
  readonly models?: string | undefined;
  readonly prices?: string | undefined;
};

/** Prices by cluster. */
const prices = z.record(clusterId, tariff);

/** Reads and checks the seed files: every problem in every file, or the seeds. Values are kept as they are written. */
export function readSeeds(files: SeedFiles): { seeds: Seed[]; problems: string[] } {
  const read = [
    readFile(files.policy, policy, (json) => [
      { bucket: buckets.policy.name, key: policyKeys.active, json: JSON.stringify(json) },
    ]),
    readFile(files.models, catalogue, (json) => [
      { bucket: buckets.policy.name, key: policyKeys.models, json: JSON.stringify(json) },
    ]),
    readFile(files.prices, prices, (json) =>
      Object.entries(Object(json)).map(([cluster, price]) => ({
        bucket: buckets.prices.name,
        key: cluster,
        json: JSON.stringify(price),
      })),
    ),
  ];
  return {
    seeds: read.flatMap(({ seeds }) => seeds),
    problems: read.flatMap(({ problems }) => problems),
  };
}

function readFile(
  file: string | undefined,
  schema: z.ZodType,
  seedsOf: (json: unknown) => Seed[],
): { seeds: Seed[]; problems: string[] } {
  if (file === undefined) return { seeds: [], problems: [] };
  const json = readJson(file);
  if (!json.ok) return { seeds: [], problems: [`${file}: ${json.problem}`] };
  const parsed = parseValue(schema, json.value);
  if (!parsed.ok) return { seeds: [], problems: [`${file}: ${parsed.problem}`] };
  return { seeds: seedsOf(json.value), problems: [] };
}

function readJson(file: string): Parsed<unknown> {
  try {
    return { ok: true, value: JSON.parse(readFileSync(file, 'utf8')) };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}
