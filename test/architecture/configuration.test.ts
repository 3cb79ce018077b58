import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commonEnv } from '@drover/runtime';
import { z } from 'zod';
import { llamaShape, providerShape } from '../../apps/agent/src/config.ts';
import { ingressShape } from '../../apps/ingress/src/config.ts';
import { pricesShape } from '../../apps/prices/src/config.ts';
import { bootstrapShape, retentionEnv, schedulerShape } from '../../apps/scheduler/src/config.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';

const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');
const configuration = read('docs/configuration.md');

/** Variable → default, as the table under a heading has it: `required`, `none`, `random`, or the value. */
function documented(document: string, heading: string): Map<string, string> {
  const section = document.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  assert.ok(section, `there is no section "${heading}"`);
  const told = new Map<string, string>();
  for (const row of section.split('\n').filter((line) => /^\| `[A-Z]/.test(line))) {
    const [, names = '', defaults = ''] = row.split('|').map((cell) => cell.trim());
    const values = defaults.split(', ');
    for (const [n, [, name = '']] of [...names.matchAll(/`([A-Z][A-Z0-9_]*(?:<[A-Z]+>)?)`/g)].entries()) {
      assert.ok(!told.has(name), `${name} is told twice`);
      told.set(name, (values[n] ?? values[0] ?? '').replaceAll('`', ''));
    }
  }
  return told;
}

/** The same, from the shape that a process reads its environment by. */
function defaultsOf(shape: z.ZodRawShape): Map<string, string> {
  const of = (type: z.core.$ZodType): string => {
    const [once, again] = [z.safeParse(type, undefined), z.safeParse(type, undefined)];
    if (!once.success || !again.success) return 'required';
    if (once.data !== again.data && !Array.isArray(once.data)) return 'random';
    return once.data === undefined ? 'none' : String(once.data);
  };
  return new Map(Object.entries(shape).map(([name, type]) => [name, of(type)]));
}

const sorted = (map: ReadonlyMap<string, string>) => Object.fromEntries([...map].sort());
const without = (shape: z.ZodRawShape, others: z.ZodRawShape): z.ZodRawShape =>
  Object.fromEntries(Object.entries(shape).filter(([name]) => !Object.hasOwn(others, name)));

test('what every process can be told, and its defaults, are those of the page of configuration', () => {
  assert.deepEqual(sorted(documented(configuration, 'Every process')), sorted(defaultsOf(commonEnv)));
});

const shapes: Readonly<Record<string, z.ZodRawShape>> = {
  Ingress: ingressShape,
  Scheduler: schedulerShape,
  Bootstrap: bootstrapShape,
  Agent: llamaShape,
  'Agent of a provider': providerShape,
  Prices: pricesShape,
};
for (const [heading, shape] of Object.entries(shapes))
  test(`what the section "${heading}" of the page of configuration tells is what is read`, () => {
    assert.deepEqual(
      sorted(documented(configuration, heading)),
      sorted(defaultsOf(without(shape, commonEnv))),
    );
  });

test('the settings of retention have the same defaults where they are explained', () => {
  const explained = documented(read('docs/operate.md'), 'How long things are kept');
  const plain = new Map(
    [...explained].map(([name, value]) => [name, value.replaceAll(/(\d),(\d)/g, '$1$2')]),
  );
  assert.deepEqual(sorted(plain), sorted(defaultsOf(retentionEnv)));
});

/** Names of variables in the source of a reader that has no shape: strings, and properties of `env`. */
const namesIn = (...files: readonly string[]): string[] => {
  const text = files
    .map(read)
    .join('\n')
    .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  return [...new Set(text.match(/\b[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+(?=_?\b|_)|\bAUTOSCALE\b/g) ?? [])].sort();
};

test('the variables of a local run are those of its section', () => {
  const told = [...documented(configuration, 'A local run').keys()].map((name) =>
    name.replace(/_<\w+>$/, ''),
  );
  const found = namesIn('infra/local/src/settings.ts', 'infra/local/src/ports.ts');
  assert.deepEqual(found, told.sort());
});

test('the variables of the command line are those of its section and of every process', () => {
  const told = documented(configuration, 'The command line');
  const found = namesIn('apps/cli/src/config.ts').filter((name) => !told.has(name));
  for (const name of told.keys())
    assert.ok(read('apps/cli/src/config.ts').includes(name), `${name} is not read`);
  for (const name of found) assert.ok(Object.hasOwn(commonEnv, name), `${name} is not told`);
});
