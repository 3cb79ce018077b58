import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as pulumi from '@pulumi/pulumi';
import { exampleText } from './support/examples.ts';
import { fakeOutputs } from './support/fake-cloud.ts';

test('the program that Pulumi loads makes the fleet of its stack, and marks the token from its configuration', async () => {
  const made: { readonly type: string; readonly inputs: unknown }[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        made.push({ type, inputs });
        return { id: `${name}-id`, state: { ...inputs, ...fakeOutputs(type, name, inputs) } };
      },
      call: ({ token, inputs }) => fakeOutputs(token, token, inputs),
    },
    'drover',
    'dev',
    false,
  );
  pulumi.runtime.setAllConfig({ ...exampleText('dev'), 'drover:repositoryToken': 'a token' }, [
    'drover:repositoryToken',
  ]);
  const { kubeconfigs } = await import('../src/index.ts');
  await pulumi.runtime.disconnect();
  assert.equal(await pulumi.isSecret(kubeconfigs), true);
  assert.equal(made.filter(({ type }) => type === 'aws:eks/cluster:Cluster').length, 1);
  assert.match(JSON.stringify(made), /drover-repository/);
});

test('the spec can be read without any package', () => {
  const source = readFileSync(new URL('../src/spec.ts', import.meta.url), 'utf8');
  assert.doesNotMatch(source, /\bimport\b|\brequire\(/);
});

test('SDKs are imported by the file, never as a whole', () => {
  // A whole SDK is tens of megabytes of types and takes the compiler minutes.
  const folder = new URL('../src/', import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  assert.ok(files.length > 20);
  for (const file of files)
    assert.doesNotMatch(
      readFileSync(new URL(file, folder), 'utf8'),
      /'@pulumi\/(aws|gcp|azure-native|kubernetes)(\/[a-zA-Z0-9]+)?'/,
      file,
    );
});
