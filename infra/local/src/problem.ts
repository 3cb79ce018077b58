/** Something that the person at the keyboard can mend. Shown as one sentence, without a stack. */
export class Problem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Problem';
  }
}

/** The line of an error (of a command that failed, preferably) that says why. */
export function explain(error: unknown): string {
  const { stderr, message, code } = error as { stderr?: unknown; message?: string; code?: unknown };
  if (code === 'ENOSPC' || /No space left on device/i.test(`${stderr}${message}`)) return 'the disk is full';
  const lines = (typeof stderr === 'string' && stderr.trim() ? stderr : (message ?? String(error)))
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  return lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'no reason was given';
}
