import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fleet } from './fleet.ts';
import { generatedValues } from './values.ts';

// Writes what follows from argocd/environments/*/fleet.json beside it; a test compares.
const folder = fileURLToPath(new URL('../environments', import.meta.url));
for (const environment of readdirSync(folder)) {
  const here = `${folder}/${environment}`;
  for (const file of readdirSync(here)) if (/^nats-|^router\./.test(file)) rmSync(`${here}/${file}`);
  const parsed = fleet.parse(JSON.parse(readFileSync(`${here}/fleet.json`, 'utf8')));
  for (const [file, content] of generatedValues(parsed)) writeFileSync(`${here}/${file}`, content);
}
