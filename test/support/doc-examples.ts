import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../infra/local/src/parts.ts';

/**
 * The fenced block of a document whose first line names `file` in a comment (`// ask.ts: …`), as it stands there.
 * @throws when there is not exactly one
 */
export function exampleIn(document: string, file: string): string {
  const text = readFileSync(join(projectRoot, document), 'utf8');
  const blocks = [...text.matchAll(/^```\w+\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? '');
  const named = blocks.filter((block) => /^(?:\/\/|#) ([\w.-]+):/.exec(block)?.[1] === file);
  assert.equal(named.length, 1, `${document} has ${named.length} examples called ${file}`);
  return named[0] ?? '';
}
