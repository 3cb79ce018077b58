import { readFileSync } from 'node:fs';
import { buckets, parseValue } from '@drover/schemas';
import type { z } from 'zod';
import { type Command, command, confirm } from '../command.ts';
import { changeLines, difference } from '../core/difference.ts';
import { CliError } from '../errors.ts';
import { putKey, readKeys, revisionOf } from '../nats/keys.ts';

/** A setting of the bucket LLM_POLICY that is put in force from a file. */
export type Applied<T> = {
  readonly name: string;
  readonly summary: string;
  readonly key: string;
  readonly schema: z.ZodType<T>;
  readonly question: (value: T) => string;
  /** What is shown in place of every field when there was none before. */
  readonly whenNew?: (value: T) => readonly string[];
};

/** A command that puts a file in force, after showing what changes. */
export const applyCommand = <T>({ name, summary, key, schema, question, whenNew }: Applied<T>): Command =>
  command({
    name,
    usage: '<file.json> [--dry-run] [--yes] [--json]',
    summary,
    options: { json: { type: 'boolean' }, yes: { type: 'boolean' }, 'dry-run': { type: 'boolean' } },
    positionals: [1, 1],
    run: async ({ values, positionals }, { io, connect, by }) => {
      const { value, text } = readSetting(positionals[0] ?? '', schema);
      const nats = await connect();
      const bucket = buckets.policy.name;
      const revision = await revisionOf(nats, bucket, key);
      const [before] = await readKeys(nats, bucket, key, schema);
      const changes = difference(before?.value, value);
      const lines = before || !whenNew ? changeLines(changes) : whenNew(value);
      if (!values.json) for (const line of lines) io.out(line);
      if (!values.json && changes.length === 0) io.out('Nothing changes.');
      const write = changes.length > 0 && values['dry-run'] !== true;
      if (write) await confirm(io, question(value), values.yes);
      const written = write ? await putKey(nats, bucket, key, text, { revision, by }) : revision;
      if (values.json) io.out(JSON.stringify({ changes, applied: write, revision: written }));
      else if (write) io.out(`In force as revision ${written}.`);
    },
  });

/** @throws CliError `invalid_file` that names every field at fault */
function readSetting<T>(file: string, schema: z.ZodType<T>): { value: T; text: unknown } {
  let text: unknown;
  try {
    text = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError('invalid_file', `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = parseValue(schema, text);
  if (!parsed.ok) throw new CliError('invalid_file', `${file}: ${parsed.problem}`);
  return { value: parsed.value, text };
}
