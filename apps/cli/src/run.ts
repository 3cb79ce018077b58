import type { Nats } from '@drover/runtime';
import { DroverError } from '@drover/schemas';
import type { Command, Context } from './command.ts';
import { commands } from './commands/table.ts';
import { connectionFrom, operatorName, stateDirOf } from './config.ts';
import { CliError, exitCodeOf, exitCodes } from './errors.ts';
import type { Io } from './io.ts';
import { connectOperator } from './nats/connect.ts';

/** Runs one command line and gives its exit code. Never rejects. */
export async function run(args: readonly string[], io: Io, env: NodeJS.ProcessEnv): Promise<number> {
  let connection: Promise<Nats> | undefined;
  const context: Context = {
    io,
    connect: () => {
      connection ??= connectOperator(connectionFrom(env));
      return connection;
    },
    by: operatorName(env),
    env,
    stateDir: stateDirOf(env),
  };
  try {
    return await dispatch(args, context);
  } catch (error) {
    return report(error, args, io);
  } finally {
    // Who could not connect has nothing to close.
    await connection?.then((nats) => nats.nc.close()).catch(() => {});
  }
}

async function dispatch(args: readonly string[], context: Context): Promise<number> {
  if (args.length === 0 || args[0] === 'help' || args[0] === '--help' || args[0] === '-h') {
    context.io.out(overview());
    return args.length === 0 ? exitCodes.usage : exitCodes.ok;
  }
  const { command, rest } = find(args);
  if (rest.includes('--help') || rest.includes('-h')) {
    context.io.out(`${command.summary}\n\n  drover ${command.name} ${command.usage}`);
    return exitCodes.ok;
  }
  try {
    await command.run(rest, context);
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'usage') throw error;
    throw new CliError('usage', `${error.message}\nusage: drover ${command.name} ${command.usage}`);
  }
  return exitCodes.ok;
}

/** Reads a command line as `run` would, and does nothing. @throws CliError `usage` */
export function readCommandLine(args: readonly string[]): void {
  const { command, rest } = find(args);
  command.read(rest);
}

/** @throws CliError `usage` when no command is called so */
function find(args: readonly string[]): { command: Command; rest: readonly string[] } {
  const command = commands.find(({ name }) => name.split(' ').every((word, n) => args[n] === word));
  if (command === undefined) throw new CliError('usage', `no command is called "${args.join(' ')}"`);
  return { command, rest: args.slice(command.name.split(' ').length) };
}

function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'drover <command> [options]',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    '--json gives every result as JSON, --help tells what a command takes.',
    'Exit codes: 0 done, 1 failed, 2 wrong usage; of deploy also 3 a tool, 4 a login, 5 configuration is missing.',
  ].join('\n');
}

function report(error: unknown, args: readonly string[], io: Io): number {
  const known = asCliError(error);
  if (args.includes('--json'))
    io.note(JSON.stringify({ error: { code: known.code, message: known.message } }));
  else io.note(`drover: ${known.code}: ${known.message}`);
  return exitCodeOf(known.code);
}

function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/permissions violation/i.test(message))
    return new CliError('not_allowed', `this key may not do that: ${message}`, { cause: error });
  if (error instanceof DroverError)
    return new CliError('failed', `${error.code}: ${message}`, { cause: error });
  return new CliError('failed', message, { cause: error });
}
