import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Nats } from '@drover/runtime';
import { CliError } from './errors.ts';
import type { Io } from './io.ts';

/** What a command is given: where it speaks, how it reaches NATS, and who asks. */
export type Context = {
  readonly io: Io;
  /** Connects at the first call. @throws CliError `unavailable` */
  connect(): Promise<Nats>;
  /** Who is asking, for the records. */
  readonly by: string;
  /** The environment, for the programs that a command starts. */
  readonly env: NodeJS.ProcessEnv;
  /** Where a local run, and a deployment from here, keep their keys. */
  readonly stateDir: string;
};

export type Command = {
  /** As it is typed: `dead list`. */
  readonly name: string;
  /** What may follow the name. */
  readonly usage: string;
  readonly summary: string;
  readonly options: Options;
  /** Reads what follows the name, and does nothing with it. @throws CliError `usage` */
  read(args: readonly string[]): Given<Options>;
  run(args: readonly string[], context: Context): Promise<void>;
};

type Options = NonNullable<ParseArgsConfig['options']>;

/** What was given after a command's name. */
export type Given<O extends Options> = ReturnType<typeof parse<O>>;

/**
 * A command whose arguments are data, so that a command line can be read without being carried out.
 * @param spec.positionals the least and the most of them; none where absent
 */
export function command<const O extends Options>(
  spec: Pick<Command, 'name' | 'usage' | 'summary'> & {
    readonly options: O;
    readonly positionals?: readonly [least: number, most: number];
    run(given: Given<O>, context: Context): Promise<void>;
  },
): Command {
  const { name, usage, summary, options } = spec;
  const read = (args: readonly string[]) => readArgs(args, options, spec.positionals);
  return { name, usage, summary, options, read, run: async (args, context) => spec.run(read(args), context) };
}

function readArgs<const O extends Options>(
  args: readonly string[],
  options: O,
  [least, most]: readonly [least: number, most: number] = [0, 0],
): Given<O> {
  let given: Given<O>;
  try {
    given = parse(args, options);
  } catch (error) {
    throw new CliError('usage', error instanceof Error ? error.message : String(error));
  }
  if (given.positionals.length < least) throw new CliError('usage', 'something is missing');
  if (given.positionals.length > most)
    throw new CliError('usage', `what is "${given.positionals[most] ?? ''}" for?`);
  return given;
}

const parse = <const O extends Options>(args: readonly string[], options: O) =>
  parseArgs({ args: [...args], options, allowPositionals: true, strict: true });

/** A number given as text. @throws CliError `usage` that names the option */
export function readNumber(option: string, text: string, least = 0): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < least)
    throw new CliError('usage', `${option} must be a number of at least ${least}, not "${text}"`);
  return value;
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A time span given as text, `15m`, in ms. @throws CliError `usage` that names the option */
export function readSpan(option: string, text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * (unitMs[unit as keyof typeof unitMs] ?? Number.NaN);
  if (!(ms > 0))
    throw new CliError('usage', `${option} must be a time like 90s, 15m, 24h or 7d, not "${text}"`);
  return ms;
}

/** Asks before something is done; scripts say `--yes`. @throws CliError when nobody can be asked, or says no */
export async function confirm(io: Io, question: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  if (!io.interactive)
    throw new CliError('confirmation_required', 'nobody can be asked here: say --yes to go on');
  const answer = await io.ask(`${question} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('declined', 'nothing was done');
}
