import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type dashboards, jsonOf } from './dashboards.ts';

// Writes the dashboards that the chart ships; a test compares.
const folder = fileURLToPath(new URL('../files/dashboards', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const name of ['cost', 'fleet', 'latency', 'reliability'] as const satisfies (keyof typeof dashboards)[])
  writeFileSync(`${folder}/${name}.json`, jsonOf(name));
