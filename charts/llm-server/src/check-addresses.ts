import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ModelList, modelList } from '@drover/schemas';

/**
 * Asks every public address of the catalogue whether the file that is there still has the size and the hash that the
 * catalogue says, without fetching it. Hugging Face tells both in the headers of its redirection; elsewhere only the size is
 * compared. Addresses of buckets are left out: they are not for everybody.
 *
 *     node charts/llm-server/src/check-addresses.ts
 *
 * Exits with 1 when one differs or does not answer.
 */
const patienceMs = 30_000;

/** What is wrong with an address, in words; undefined when nothing is. */
export async function addressProblem({
  uri,
  bytes,
  sha256,
}: ModelList['models'][number]['file']): Promise<string | undefined> {
  const ask = (redirect: 'manual' | 'follow') =>
    fetch(uri, { method: 'HEAD', redirect, signal: AbortSignal.timeout(patienceMs) });
  try {
    const first = await ask('manual');
    const hash = first.headers.get('x-linked-etag')?.replaceAll('"', '');
    if (hash !== undefined && sha256 !== undefined && hash !== sha256)
      return `has the hash ${hash}, not ${sha256}`;
    const isElsewhere = first.status >= 300 && first.status < 400;
    const last = isElsewhere && !first.headers.has('x-linked-size') ? await ask('follow') : first;
    if (last.status >= 400) return `answers ${last.status}`;
    const size = last.headers.get('x-linked-size') ?? last.headers.get('content-length');
    if (size === null) return 'does not say its size';
    return bytes === undefined || Number(size) === bytes ? undefined : `has ${size} bytes, not ${bytes}`;
  } catch (error) {
    return `cannot be reached: ${error instanceof Error && error.cause ? error.cause : error}`;
  }
}

async function checkAll(list: ModelList): Promise<number> {
  const open = list.models.filter(({ file }) => file.uri.startsWith('https:'));
  const problems = await Promise.all(open.map(({ file }) => addressProblem(file)));
  for (const [n, { name, file }] of open.entries())
    console.log(`${name}: ${problems[n] ?? 'as it should be'} (${file.uri})`);
  return problems.filter((problem) => problem !== undefined).length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const catalogue = new URL('../../../schemas/models/catalogue.json', import.meta.url);
  process.exitCode =
    (await checkAll(modelList.parse(JSON.parse(readFileSync(catalogue, 'utf8'))))) > 0 ? 1 : 0;
}
