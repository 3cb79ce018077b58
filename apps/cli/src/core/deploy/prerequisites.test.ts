import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { atLeast } from './prerequisites.ts';
import { registryOf, withRegistries } from './tools.ts';
import { commandText } from './words.ts';

const version = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99));

test('versions are compared number by number, not letter by letter', () => {
  assert.ok(atLeast('1.31.0', '1.9.0') && !atLeast('1.9.9', '1.31.0'));
  fc.assert(
    fc.property(version, version, (a, b) => {
      const [x, y] = [a.join('.'), b.join('.')];
      assert.ok(atLeast(x, x));
      if (x !== y) assert.notEqual(atLeast(x, y), atLeast(y, x));
    }),
  );
});

test('the registry of a cluster is put where it is named, whole or only its host; an unknown one is left as it was', () => {
  const registries = { aws: 'host.example/path' };
  const text = `${registryOf('aws')}/agent ${registryOf('aws', 'host')} ${registryOf('gcp')}`;
  assert.equal(withRegistries(text, registries), `host.example/path/agent host.example ${registryOf('gcp')}`);
});

test('a command is shown as it would be typed, with what a shell would take apart in quotes', () => {
  const command = { argv: ['kubectl', '-l', 'a,b!=c d'], cwd: 'infra', env: { A: '1' } } as const;
  assert.equal(commandText(command), "cd infra && A=1 kubectl -l 'a,b!=c d'");
});
