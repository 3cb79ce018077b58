import { readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Logger } from '@drover/runtime';
import { parseMessage } from '@drover/schemas';
import type { z } from 'zod';

export type WatchedFile<T> = { current(): T; stop(): void };

/** Editors and Kubernetes write in several steps; one reading after the last is enough. */
const settleMs = 50;

/**
 * The content of a JSON file, kept up to date. The directory is watched rather than the file: a new version is usually
 * renamed into place (by Kubernetes even the link to its folder is), which ends a watch on the file itself. A new
 * version that cannot be read or does not parse is logged, and the old one stays in force.
 * @throws when the first version is no good
 */
export function watchFile<F, T>(
  file: string,
  schema: z.ZodType<F>,
  use: (content: F) => T,
  log: Logger,
): WatchedFile<T> {
  let current = use(read(file, schema));
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(dirname(file), () => {
    clearTimeout(timer);
    timer = setTimeout(reload, settleMs);
  });
  watcher.on('error', (error) => log.error({ file, error: error.message }, 'file is no longer watched'));

  function reload(): void {
    try {
      current = use(read(file, schema));
      log.debug({ file }, 'file read again');
    } catch (error) {
      log.error({ file, problem: String(error) }, 'bad file refused');
    }
  }

  return {
    current: () => current,
    stop: () => {
      clearTimeout(timer);
      watcher.close();
    },
  };
}

function read<F>(file: string, schema: z.ZodType<F>): F {
  const parsed = parseMessage(schema, readFileSync(file));
  if (!parsed.ok) throw new Error(`${basename(file)}: ${parsed.problem}`);
  return parsed.value;
}
