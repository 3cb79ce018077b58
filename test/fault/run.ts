import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Result, runFaults } from './harness.ts';
import { type RunOptions, readOptions } from './options.ts';
import { print, type Summary, summarize } from './summary.ts';

const runs = readOptions(process.argv.slice(2));
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    // The guard ends whatever is left.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });

const done: { readonly hub: string; readonly summary: Summary }[] = [];
for (const options of runs) {
  if (stop.signal.aborted) break;
  const hub = options.nodes === 1 ? 'one nats-server' : 'a hub of three';
  done.push({ hub, summary: await runOnce(options, hub) });
}
console.log(print(done));

async function runOnce(options: RunOptions, hub: string): Promise<Summary> {
  const folder = mkdtempSync(join(tmpdir(), 'drover-fault-'));
  console.error(`${new Date().toISOString()} ${options.kills} kills on ${hub}, seed ${options.seed}`);
  const result = await runFaults(options, {
    folder,
    signal: stop.signal,
    say: (line) => console.error(`${new Date().toISOString()} ${line}`),
  }).catch((error: unknown) => {
    console.log(`seed ${options.seed}; the run on ${hub} broke off, its logs are in ${folder}`);
    throw error;
  });
  const summary = summarize(result);
  for (const { part, atMs } of result.crashes)
    console.log(`${part} ended by itself at ${new Date(atMs).toISOString()}`);
  if (result.violations.length === 0) rmSync(folder, { recursive: true, force: true });
  else keep(folder, options, { ...result, summary });
  return summary;
}

/** Says what was broken, and keeps the history beside the logs and the streams. */
function keep(folder: string, options: RunOptions, result: Result & { readonly summary: Summary }): void {
  const file = join(folder, 'history.json');
  writeFileSync(
    file,
    JSON.stringify({ options, ...result }, (_key, value) => (value instanceof Set ? [...value] : value)),
  );
  for (const { kind, id, detail } of result.violations.slice(0, 40)) console.log(`${kind} ${id}: ${detail}`);
  console.log(`seed ${options.seed}, --nodes ${options.nodes}; the history is in ${file}`);
  process.exitCode = 1;
}
