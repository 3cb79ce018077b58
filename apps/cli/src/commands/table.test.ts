import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from '../errors.ts';
import { readCommandLine } from '../run.ts';
import { commands } from './table.ts';

test('the usage of every command names the options that it takes, and no others', () => {
  for (const { name, usage, options } of commands) {
    const told = [...usage.matchAll(/--([a-z-]+)( <| [a-z0-9]+\|)?/g)].map(([, flag, value]) =>
      value === undefined ? `${flag}` : `${flag} <value>`,
    );
    const taken = Object.entries(options).map(([flag, { type }]) =>
      type === 'boolean' ? flag : `${flag} <value>`,
    );
    // `dead retry` names --reason once, beside --all.
    assert.deepEqual([...new Set(told)].sort(), taken.sort(), name);
  }
});

test('a command line is read without being carried out, and what is wrong with it is said', () => {
  readCommandLine(['drain', 'aws-us-east-1', '--reason', 'kernel update', '--no-wait']);
  readCommandLine(['deploy', 'aws', '--env', 'dev', '--step', 'hub', '--step', 'argocd', '--dry-run']);
  const cases: readonly (readonly [args: readonly string[], problem: RegExp])[] = [
    [['drian'], /no command is called "drian"/],
    [['drain'], /something is missing/],
    [['drain', 'one', 'two'], /what is "two" for/],
    [['drain', 'one', '--force'], /Unknown option '--force'/],
    [['up', '--timeout-s'], /argument missing/],
  ];
  for (const [args, message] of cases)
    assert.throws(
      () => readCommandLine(args),
      (error) => error instanceof CliError && error.code === 'usage' && message.test(error.message),
    );
});
