import { createInterface } from 'node:readline/promises';

/** Where a command speaks. Results go to `out`, everything for people in between to `note`. */
export type Io = {
  out(text: string): void;
  note(text: string): void;
  /** A person sits at the other end: questions may be asked, and screens redrawn. */
  readonly interactive: boolean;
  ask(question: string): Promise<string>;
  /** Of the terminal; absent where there is none. */
  size?(): { columns: number; rows: number };
  /** Aborted when the person wants to leave. */
  readonly leaving: AbortSignal;
};

/** The terminal, pipe or file that this process was started with. */
export function terminal(): Io {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  process.once('SIGTERM', () => controller.abort());
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
    interactive: process.stdin.isTTY === true && process.stdout.isTTY === true,
    ask: async (question) => {
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return await lines.question(question, { signal: controller.signal });
      } finally {
        lines.close();
      }
    },
    size: () => ({ columns: process.stdout.columns, rows: process.stdout.rows }),
    leaving: controller.signal,
  };
}
