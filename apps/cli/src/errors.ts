/** What scripts may rely on. Every failure has a code that does not change; the words beside it may. */
export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;

export type CliCode =
  | 'usage'
  | 'unavailable'
  | 'not_allowed'
  | 'not_found'
  | 'unknown_cluster'
  | 'ambiguous'
  | 'not_retryable'
  | 'invalid_file'
  | 'conflict'
  | 'confirmation_required'
  | 'declined'
  | 'timeout'
  | 'failed';

/** A command that could not do what it was asked to. */
export class CliError extends Error {
  readonly code: CliCode;

  constructor(code: CliCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
  }
}

export const exitCodeOf = (code: CliCode): number =>
  code === 'usage' || code === 'confirmation_required' ? exitCodes.usage : exitCodes.failed;
