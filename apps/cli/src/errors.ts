/** What scripts may rely on. Every failure has a code that does not change; the words beside it may. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  missingTool: 3,
  missingLogin: 4,
  missingConfiguration: 5,
} as const;

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
  | 'missing_tool'
  | 'missing_login'
  | 'missing_configuration'
  | 'already_runs'
  | 'unhealthy'
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

const special: Partial<Record<CliCode, number>> = {
  usage: exitCodes.usage,
  confirmation_required: exitCodes.usage,
  missing_tool: exitCodes.missingTool,
  missing_login: exitCodes.missingLogin,
  missing_configuration: exitCodes.missingConfiguration,
};

export const exitCodeOf = (code: CliCode): number => special[code] ?? exitCodes.failed;
