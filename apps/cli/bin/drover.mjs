#!/usr/bin/env node
/** `drover`. Runs on any Node from 20: from 24 on it runs TypeScript as it is, below that on the project's own Node. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const typescriptSince = 24;

if (Number(process.versions.node.split('.')[0]) >= typescriptSince) {
  await import(main);
} else {
  const node = fileURLToPath(new URL('../../../node_modules/node/bin/node', import.meta.url));
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('error', (error) => {
    console.error(`drover: ${error.message}; run npm ci first`);
    process.exit(1);
  });
  child.once('exit', (code) => process.exit(code ?? 1));
}
