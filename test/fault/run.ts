import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFaults } from './harness.ts';
import { readOptions } from './options.ts';
import { print, summarize } from './summary.ts';

const options = readOptions(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), 'drover-fault-'));
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    // The guard ends whatever is left.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });

const result = await runFaults(options, {
  folder,
  signal: stop.signal,
  say: (line) => console.error(`${new Date().toISOString()} ${line}`),
}).catch((error: unknown) => {
  console.log(`seed ${options.seed}; the run broke off, its logs are in ${folder}`);
  throw error;
});
const summary = summarize(result);
console.log(print(summary));
for (const { part, atMs } of result.crashes)
  console.log(`${part} ended by itself at ${new Date(atMs).toISOString()}`);
if (result.violations.length === 0) {
  rmSync(folder, { recursive: true, force: true });
} else {
  // The logs and the streams stay beside it.
  const file = join(folder, 'history.json');
  writeFileSync(
    file,
    JSON.stringify({ options, summary, ...result }, (_key, value) =>
      value instanceof Set ? [...value] : value,
    ),
  );
  for (const { kind, id, detail } of result.violations.slice(0, 40)) console.log(`${kind} ${id}: ${detail}`);
  console.log(`seed ${options.seed}; the history is in ${file}`);
  process.exitCode = 1;
}
