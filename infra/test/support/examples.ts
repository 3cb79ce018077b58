import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Config, parseConfig } from '../../src/config.ts';
import type { Environment } from '../../src/spec.ts';

const stackFile = z.object({ config: z.record(z.string(), z.unknown()) });

/** The configuration of an example stack, as Pulumi hands it to the program: structured values as JSON. */
export function exampleText(env: Environment): Record<string, string> {
  const file = new URL(`../../Pulumi.${env}.yaml`, import.meta.url);
  const { config } = stackFile.parse(parse(readFileSync(file, 'utf8')));
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}

export const example = (env: Environment): Config => parseConfig(env, exampleText(env));
