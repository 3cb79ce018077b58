import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { z } from 'zod';
import { ensureLlama, projectRoot } from '../../infra/local/src/parts.ts';
import { render, resourcesOf, variants } from './support/charts.ts';
import { ensureTools, run } from './support/tools.ts';

const deployment = z.looseObject({
  template: z.looseObject({
    spec: z.looseObject({
      initContainers: z.array(z.looseObject({ name: z.string(), args: z.array(z.string()).default([]) })),
    }),
  }),
});

/** The arguments of llama.cpp in the rendered chart. */
async function argumentsOf(name: string): Promise<readonly string[]> {
  const variant = variants.find((one) => one.name === name);
  assert.ok(variant, `no variant is called ${name}`);
  const found = resourcesOf(await render(variant)).find(({ kind }) => kind === 'Deployment');
  const { initContainers } = deployment.parse(found?.spec).template.spec;
  return initContainers.find(({ name }) => name === 'llama')?.args ?? assert.fail('no llama.cpp');
}

/** Whether the real llama.cpp takes the arguments on a machine without a GPU, and what it says. */
const read = (args: readonly string[]) =>
  run(join(projectRoot, '.drover/venv/bin/python'), [
    join(import.meta.dirname, 'support/llama_arguments.py'),
    ...args,
  ]);

before(async () => {
  await ensureTools();
  await ensureLlama((line) => console.error(line));
});

test('a pod that was promised a GPU and has none ends, instead of serving from the CPU', async () => {
  const args = await argumentsOf('llm-server aws prod gpu');
  const refused = await read(args);
  assert.ok(!refused.ok, refused.output);
  // That is what it would do otherwise: a warning, and the CPU.
  const at = args.indexOf('--device');
  const unnamed = await read(args.filter((_, n) => n !== at && n !== at + 1));
  assert.ok(unnamed.ok, unnamed.output);
  assert.match(unnamed.output, /no usable GPU found/);
});

test('the arguments of a pod without a GPU are taken', async () => {
  const args = await argumentsOf('llm-server aws prod');
  const taken = await read(args);
  assert.ok(taken.ok, taken.output);
});
