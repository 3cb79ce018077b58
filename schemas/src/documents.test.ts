import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import specs from '@asyncapi/specs';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { documents } from './documents.ts';

const folder = new URL('../json/', import.meta.url);

test('the committed documents are what the schemas generate', () => {
  const generated = documents();
  assert.deepEqual(readdirSync(folder).sort(), [...generated.keys()].sort(), 'run `npm run schemas`');
  for (const [name, content] of generated) {
    assert.equal(
      readFileSync(new URL(name, folder), 'utf8'),
      content,
      `${name} is out of date: run \`npm run schemas\``,
    );
  }
});

test('the AsyncAPI document is valid by the specification of version 3', () => {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const specification: Record<string, object> = specs.schemasWithoutId;
  const validate = ajv.compile(specification['3.0.0'] ?? {});
  const document: unknown = JSON.parse(documents().get('asyncapi.json') ?? '');
  assert.ok(validate(document), JSON.stringify(validate.errors?.slice(0, 5)));
  assert.ok(!validate({ ...(document as object), channels: { bad: { address: 1 } } }), 'the check can fail');
});
