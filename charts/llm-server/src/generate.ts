import { readFileSync, writeFileSync } from 'node:fs';
import { modelList } from '@drover/schemas';
import { modelFiles } from './models.ts';

// Writes what follows from the list of models; a test compares.
const root = new URL('../../../', import.meta.url);
const list = modelList.parse(
  JSON.parse(readFileSync(new URL('schemas/models/catalogue.json', root), 'utf8')),
);
for (const [path, content] of modelFiles(list)) writeFileSync(new URL(path, root), content);
