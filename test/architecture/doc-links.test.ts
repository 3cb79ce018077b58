import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { documents } from '../support/doc-commands.ts';

const read = (file: string): string => readFileSync(join(projectRoot, file), 'utf8');
const withoutBlocks = (text: string): string =>
  text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '').replaceAll(/`[^`\n]*`/g, '');

/** As GitHub makes them: lower case, hyphens for blanks, no other punctuation. */
const anchorsOf = (file: string): Set<string> =>
  new Set(
    [...read(file).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

/** Links of a document that lead nowhere. */
function broken(file: string, text: string): string[] {
  return [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [path = '', anchor] = target.split('#');
    const to = path === '' ? file : normalize(join(dirname(file), path));
    if (!existsSync(join(projectRoot, to))) return [`${file}: ${target}`];
    const headed =
      anchor === undefined || !statSync(join(projectRoot, to)).isFile() || anchorsOf(to).has(anchor);
    return headed ? [] : [`${file}: ${target}`];
  });
}

test('every link of a document leads to a file, and to a heading, that is there', () => {
  assert.deepEqual(
    documents().flatMap((file) => broken(file, read(file))),
    [],
  );
});

test('a link to a file or a heading that is gone is found out', () => {
  assert.deepEqual(
    broken('docs/costs.md', '[a](nowhere.md) [b](providers.md#nothing) [c](providers.md#money)'),
    ['docs/costs.md: nowhere.md', 'docs/costs.md: providers.md#nothing'],
  );
});
