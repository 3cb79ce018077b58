import { DroverError, type FailureCode, failures, type Outcome } from '@drover/schemas';

/** OpenAI's error envelope; `code` is ours and stable. */
export type ErrorEnvelope = {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: FailureCode;
  };
};

export const envelope = (error: DroverError): ErrorEnvelope => ({
  error: {
    message: error.message,
    type: failures[error.code].type,
    param: error.param,
    code: error.code,
  },
});

/** The same inside a stream, where it is too late for a header: `retry_after` is in seconds, as the header would be. */
export const streamedEnvelope = (error: DroverError) => ({
  error: {
    ...envelope(error).error,
    ...(error.retryAfterSeconds === null ? {} : { retry_after: wholeSeconds(error.retryAfterSeconds) }),
  },
});

/** Clients that come back at once would be refused again. */
const wholeSeconds = (seconds: number): number => Math.max(1, Math.ceil(seconds));

export const statusOf = (error: DroverError): number => failures[error.code].http;

/** Headers that belong to a failure: how to authenticate, when to come back. */
export const errorHeaders = (error: DroverError): Record<string, string> => ({
  ...(failures[error.code].http === 401 ? { 'www-authenticate': 'Bearer realm="drover", DroverHMAC' } : {}),
  ...(error.retryAfterSeconds === null
    ? {}
    : { 'retry-after': String(wholeSeconds(error.retryAfterSeconds)) }),
});

/** An outcome without an answer, as the failure that the client is told. */
export function outcomeError(outcome: Exclude<Outcome, { status: 'done' }>): DroverError {
  if (outcome.status === 'cancelled') return new DroverError('cancelled', 'The request was cancelled.');
  const { code, message, retryAfterMs } = outcome;
  return new DroverError(
    code,
    message,
    retryAfterMs === undefined ? {} : { retryAfterSeconds: retryAfterMs / 1_000 },
  );
}

/** What Fastify refuses before a handler runs, by its error code. */
const refusals: Readonly<Record<string, FailureCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'request_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
  FST_ERR_ROUTE_URL_NOT_STRING: 'not_found',
};

/**
 * Whatever was thrown, as a failure of ours. What nobody expected is an `internal_error` that tells the client nothing
 * and keeps its cause for the log.
 */
export function toDroverError(error: unknown): DroverError {
  if (error instanceof DroverError) return error;
  const code = refusals[codeOf(error)];
  if (code !== undefined && error instanceof Error) return new DroverError(code, `${error.message}.`);
  return new DroverError('internal_error', 'Something went wrong on our side.', { cause: error });
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
