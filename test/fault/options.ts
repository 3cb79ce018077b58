import { parseArgs } from 'node:util';
import { type FaultName, faultNames, partNames } from './faults.ts';
import type { PartKind } from './history.ts';

export type RunOptions = {
  /** SIGKILLs; other faults come in addition. */
  readonly kills: number;
  readonly seed: number;
  readonly nodes: 1 | 3;
  /** Requests that are under way at once. */
  readonly concurrency: number;
  readonly faults: ReadonlySet<FaultName>;
  readonly parts: ReadonlySet<PartKind>;
  /** Mean time from one fault to the next, in ms. */
  readonly everyMs: number;
  readonly llama: 'fake' | 'real';
  readonly tokenMs: number;
};

export const defaults: RunOptions = {
  kills: 100,
  seed: 7,
  nodes: 1,
  concurrency: 10,
  faults: new Set(faultNames),
  parts: new Set(partNames),
  everyMs: 650,
  llama: 'fake',
  tokenMs: 20,
};

/** Of the kills of a run on both hubs, the part that the hub of three gets. */
const threeShare = 1 / 6;

/** Reads the command line: one run, or one on each hub. @throws Error that names the flag */
export function readOptions(args: readonly string[]): RunOptions[] {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string' },
      seed: { type: 'string' },
      nodes: { type: 'string' },
      concurrency: { type: 'string' },
      faults: { type: 'string' },
      parts: { type: 'string' },
      'every-ms': { type: 'string' },
      llama: { type: 'string' },
    },
  });
  const whole = (flag: string, text: string | undefined, otherwise: number): number => {
    if (text === undefined) return otherwise;
    if (!/^\d{1,7}$/.test(text)) throw new Error(`--${flag}: use a whole number`);
    return Number(text);
  };
  const { llama = defaults.llama } = values;
  if (llama !== 'fake' && llama !== 'real') throw new Error('--llama: use fake or real');
  const options: RunOptions = {
    ...defaults,
    kills: whole('kills', values.kills, defaults.kills),
    seed: whole('seed', values.seed, defaults.seed),
    concurrency: whole('concurrency', values.concurrency, defaults.concurrency),
    faults: some('faults', values.faults, faultNames),
    parts: some('parts', values.parts, partNames),
    everyMs: whole('every-ms', values['every-ms'], defaults.everyMs),
    llama,
  };
  switch (values.nodes) {
    case '1':
      return [{ ...options, nodes: 1 }];
    case '3':
      return [{ ...options, nodes: 3 }];
    case undefined:
    case 'both':
      return onBothHubs(options);
    default:
      throw new Error('--nodes: use 1, 3 or both');
  }
}

/** Another seed for the second, so that its requests have other names. */
function onBothHubs(options: RunOptions): RunOptions[] {
  const three = Math.round(options.kills * threeShare);
  const runs: RunOptions[] = [
    { ...options, nodes: 1, kills: options.kills - three },
    { ...options, nodes: 3, kills: three, seed: options.seed + 1_000 },
  ];
  return runs.filter(({ kills }) => kills > 0);
}

/** The words of a list, all of them when there is no list. @throws Error that names the flag */
function some<T extends string>(flag: string, text: string | undefined, all: readonly T[]): ReadonlySet<T> {
  if (text === undefined) return new Set(all);
  const asked = new Set<T>();
  for (const word of text.split(',')) {
    const known = all.find((name) => name === word);
    if (known === undefined) throw new Error(`--${flag}: use some of ${all.join(', ')}`);
    asked.add(known);
  }
  return asked;
}
