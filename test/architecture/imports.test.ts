import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Which workspace may import which, and why the arrow is there. Nothing else may be imported across a workspace. */
const arrows: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  schemas: {},
  'apps/runtime': { '@drover/schemas': 'it makes streams and watches buckets from their definitions' },
  'apps/client': {
    '@drover/schemas': 'it speaks the contract',
    '@drover/runtime': 'it connects to NATS',
  },
  'apps/ingress': {
    '@drover/schemas': 'it speaks the contract',
    '@drover/runtime': 'it is a process',
    '@drover/client': 'HTTP in is a submission on NATS, as of any producer',
  },
  'apps/scheduler': { '@drover/schemas': 'it speaks the contract', '@drover/runtime': 'it is a process' },
  'apps/cli': {
    '@drover/schemas': 'it speaks the contract',
    '@drover/runtime': 'it connects to NATS',
  },
  'apps/agent': { '@drover/schemas': 'it speaks the contract', '@drover/runtime': 'it is a process' },
  'apps/prices': { '@drover/schemas': 'it writes tariffs', '@drover/runtime': 'it is a process' },
};

/** A pure core computes from its arguments: these would give it a clock, chance, the world or a voice. */
const impure = [
  /\bDate\.now\(/,
  /\bnew Date\(\)/,
  /\bMath\.random\(/,
  /\bperformance\.now\(/,
  /\bprocess\./,
  /\bconsole\./,
  /\bset(Timeout|Interval|Immediate)\(/,
];
/** What a core may import besides its own files. */
const coreImports = /^(@drover\/schemas|zod|node:crypto|node:buffer)$/;

const files = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.parentPath.includes('node_modules'),
    )
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));

const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import)\s+'([^']+)'/g)].map(
    (match) => match[1] ?? '',
  );

const production = (file: string): boolean => !file.endsWith('.test.ts') && file.includes('/src/');

for (const [workspace, allowed] of Object.entries(arrows)) {
  test(`${workspace} imports only what its arrows allow`, () => {
    const found = files(workspace).filter(production);
    assert.ok(found.length > 0, `${workspace} has no files: the check would see nothing`);
    for (const file of found) {
      for (const target of importsOf(file)) {
        if (target.startsWith('.')) {
          const inside = relative(root, resolve(root, dirname(file), target));
          assert.ok(inside.startsWith(`${workspace}/`), `${file} reaches into ${inside}`);
        } else if (target.startsWith('@drover/')) {
          assert.ok(target in allowed, `${file} imports ${target}`);
        }
      }
    }
  });
}

for (const app of ['apps/ingress', 'apps/scheduler', 'apps/agent', 'apps/cli', 'apps/prices']) {
  test(`the core of ${app} is pure`, () => {
    const core = files(`${app}/src/core`).filter(production);
    assert.ok(core.length > 0);
    for (const file of core) {
      const text = readFileSync(join(root, file), 'utf8');
      for (const pattern of impure) assert.doesNotMatch(text, pattern, `${file} is not pure`);
      for (const target of importsOf(file)) {
        const own =
          target.startsWith('.') && resolve(root, dirname(file), target).includes(`${app}/src/core/`);
        assert.ok(own || coreImports.test(target), `${file} imports ${target}`);
      }
    }
  });
}
