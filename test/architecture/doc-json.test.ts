import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { catalogue, experiment, ledgerRecord, policy, tariff } from '@drover/schemas';
import { z } from 'zod';
import { apiKeysFile } from '../../apps/ingress/src/core/api-keys.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { documents } from '../support/doc-commands.ts';

const apiKey = apiKeysFile.shape.keys.element;

/** What each JSON example of a document shows, in their order; or one schema for all, where a program writes them. */
const examples: Readonly<Record<string, readonly z.ZodType[] | z.ZodType>> = {
  'docs/costs.md': [ledgerRecord, apiKey],
  'docs/experiments.md': [catalogue, experiment, experiment],
  'docs/providers.md': [z.record(z.string(), tariff)],
  'docs/benchmarks/policies.md': policy,
  'docs/benchmarks/simulator.md': policy,
  'apps/ingress/README.md': [apiKeysFile],
};

const blocksOf = (file: string): string[] =>
  [...readFileSync(join(projectRoot, file), 'utf8').matchAll(/^ *```json\n([\s\S]*?)^ *```$/gm)].map(
    // A hash that the reader has to put in.
    ([, body = '']) => body.replaceAll(/("sha256": )"[^"]*"/g, `$1"${'a'.repeat(64)}"`),
  );

test('every JSON example of a document is accepted by the schema of what it shows', () => {
  for (const file of documents()) {
    const blocks = blocksOf(file);
    const known = examples[file] ?? [];
    const schemas = known instanceof z.ZodType ? blocks.map(() => known) : known;
    assert.equal(blocks.length, schemas.length, `${file}: say which schema each example has`);
    for (const [n, schema] of schemas.entries()) {
      const result = schema.safeParse(JSON.parse(blocks[n] ?? ''));
      assert.ok(result.success, `${file}, example ${n + 1}: ${result.error?.message}`);
    }
  }
});
