import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { documents } from './documents.ts';

// Run by `npm run schemas`: writes what the test compares.
const folder = fileURLToPath(new URL('../json', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const file of readdirSync(folder)) rmSync(`${folder}/${file}`);
for (const [name, content] of documents()) writeFileSync(`${folder}/${name}`, content);
