import { readFile } from 'node:fs/promises';
import { clusterId, parseValue, type Tariff, tariff } from '@drover/schemas';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Answer, given, refuse } from '../core/answer.ts';
import type { Feeder } from './feeder.ts';
import { oncePerKey } from './once.ts';

/** The same as bootstrap's seeds: tariffs by cluster. YAML holds JSON. */
const tariffs = z.record(clusterId, tariff);

/** Tariffs that somebody keeps in a file; read once per turn, and taken whole, with their own source, moment and lifetime. */
export const file: Feeder<'file'> = () => {
  const read = oncePerKey(readTariffs);
  return async (cluster, source) => {
    const all = await read(source.file);
    if (!all.ok) return all;
    const found = all.value.get(cluster);
    return found ? given(found) : refuse('no-price', `${source.file} does not name ${cluster}`);
  };
};

async function readTariffs(path: string): Promise<Answer<Map<string, Tariff>>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    return refuse('unreachable', String(error));
  }
  try {
    const parsed = parseValue(tariffs, parse(text));
    return parsed.ok
      ? given(new Map(Object.entries(parsed.value)))
      : refuse('malformed', `${path}: ${parsed.problem}`);
  } catch (error) {
    return refuse('malformed', `${path}: ${error instanceof Error ? error.message : error}`);
  }
}
