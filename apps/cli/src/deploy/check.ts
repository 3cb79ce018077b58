import { atLeast } from '../core/deploy/prerequisites.ts';
import type { Prerequisite } from '../core/deploy/types.ts';
import { notFound, type World } from './world.ts';

export type Checked = {
  readonly name: string;
  readonly code: Prerequisite['code'];
  readonly ok: boolean;
  /** The version, or who one is. */
  readonly found?: string;
  readonly problem?: string;
  readonly how: string;
};

/** Looks at each prerequisite; nothing is changed by it. */
export const checkAll = (prerequisites: readonly Prerequisite[], world: World): Promise<Checked[]> =>
  Promise.all(prerequisites.map((one) => check(one, world)));

async function check({ name, code, how, check: by }: Prerequisite, world: World): Promise<Checked> {
  const base = { name, code, how };
  const no = (problem: string): Checked => ({ ...base, ok: false, problem });
  if (by.kind === 'known') return by.problem === undefined ? { ...base, ok: true } : no(by.problem);
  const ran = await world.run(by.command);
  const program = by.command.argv[0];
  if (ran.code === notFound) return no(`${program} is not installed`);
  if (by.kind === 'version') {
    const version = by.pattern.exec(ran.stdout + ran.stderr)?.[1];
    if (version === undefined) return no(`${program} does not tell its version: ${lastLine(ran.stderr)}`);
    return atLeast(version, by.least)
      ? { ...base, ok: true, found: version }
      : no(`${version} is too old: ${by.least} is needed`);
  }
  if (ran.code !== 0) return no(lastLine(ran.stderr) || `${program} ended with ${ran.code}`);
  const found = ran.stdout.trim();
  return by.expected === undefined || found === by.expected
    ? { ...base, ok: true, found }
    : no(`this is ${found}, and ${by.expected} is meant`);
}

export const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? '';
