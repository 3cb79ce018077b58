import type { Io } from '../../apps/cli/src/io.ts';
import { run } from '../../apps/cli/src/run.ts';
import type { System } from '../../infra/local/src/system.ts';

export type CliResult = { readonly code: number; readonly out: string; readonly notes: string };

/** Runs `drover …` in this process, with the rights of the system's operator (or another) and nobody to ask. */
export async function drover(
  system: System,
  args: readonly string[],
  more: {
    answer?: string;
    role?: 'operator' | 'admin';
    leaving?: AbortSignal;
    onOut?: (text: string) => void;
  } = {},
): Promise<CliResult> {
  const credential = system.credential(more.role ?? 'operator');
  const out: string[] = [];
  const notes: string[] = [];
  const io: Io = {
    out: (text) => {
      out.push(text);
      more.onOut?.(text);
    },
    note: (text) => void notes.push(text),
    interactive: more.answer !== undefined,
    ask: async () => more.answer ?? '',
    leaving: more.leaving ?? new AbortController().signal,
  };
  const code = await run(args, io, {
    NATS_URL: system.natsUrl,
    USER: 'tester',
    ...(credential === undefined
      ? {}
      : { NATS_NKEY_FILE: credential.nkeyFile, NATS_INBOX_PREFIX: credential.inboxPrefix }),
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}
