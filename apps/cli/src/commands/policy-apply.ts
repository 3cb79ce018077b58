import { readFileSync } from 'node:fs';
import { buckets, type Policy, parseValue, policy, policyKeys } from '@drover/schemas';
import { type Command, confirm, readArgs } from '../command.ts';
import { changeLines, difference } from '../core/difference.ts';
import { CliError } from '../errors.ts';
import { putKey, readKeys, revisionOf } from '../nats/keys.ts';

/** Puts a policy in force, after showing what changes. */
export const policyApply: Command = {
  name: 'policy apply',
  usage: '<file.json> [--dry-run] [--yes] [--json]',
  summary: 'puts a policy in force; --dry-run only shows what would change',
  run: async (args, { io, connect, by }) => {
    const { values, positionals } = readArgs(
      args,
      { json: { type: 'boolean' }, yes: { type: 'boolean' }, 'dry-run': { type: 'boolean' } },
      [1, 1],
    );
    const { value, text } = readPolicy(positionals[0] ?? '');
    const nats = await connect();
    const bucket = buckets.policy.name;
    const revision = await revisionOf(nats, bucket, policyKeys.active);
    const [before] = await readKeys(nats, bucket, policyKeys.active, policy);
    const changes = difference(before?.value, value);
    const dryRun = values['dry-run'] === true;
    if (!values.json) for (const line of changeLines(changes)) io.out(line);
    if (!values.json && changes.length === 0) io.out('Nothing changes.');
    const write = changes.length > 0 && !dryRun;
    if (write) await confirm(io, 'Put this policy in force?', values.yes);
    const written = write ? await putKey(nats, bucket, policyKeys.active, text, { revision, by }) : revision;
    if (values.json) io.out(JSON.stringify({ changes, applied: write, revision: written }));
    else if (write) io.out(`In force as revision ${written}.`);
  },
};

/** @throws CliError `invalid_file` that names every field at fault */
function readPolicy(file: string): { value: Policy; text: unknown } {
  let text: unknown;
  try {
    text = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError('invalid_file', `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = parseValue<Policy>(policy, text);
  if (!parsed.ok) throw new CliError('invalid_file', `${file}: ${parsed.problem}`);
  return { value: parsed.value, text };
}
