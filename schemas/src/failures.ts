/**
 * Every way in which a request can fail: the stable code that clients match on, the HTTP status, OpenAI's error type,
 * and whether the same request may succeed later. docs/failures.md is compared with this table by a test.
 */
export const failures = {
  invalid_json: { http: 400, type: 'invalid_request_error', retry: false },
  invalid_request: { http: 400, type: 'invalid_request_error', retry: false },
  context_length_exceeded: { http: 400, type: 'invalid_request_error', retry: false },
  backend_refused: { http: 400, type: 'invalid_request_error', retry: false },
  invalid_api_key: { http: 401, type: 'authentication_error', retry: false },
  invalid_signature: { http: 401, type: 'authentication_error', retry: false },
  model_not_found: { http: 404, type: 'invalid_request_error', retry: false },
  endpoint_not_served: { http: 404, type: 'invalid_request_error', retry: false },
  not_found: { http: 404, type: 'invalid_request_error', retry: false },
  gone: { http: 410, type: 'invalid_request_error', retry: false },
  request_too_large: { http: 413, type: 'invalid_request_error', retry: false },
  unsupported_media_type: { http: 415, type: 'invalid_request_error', retry: false },
  idempotency_key_reused: { http: 422, type: 'invalid_request_error', retry: false },
  budget_exceeded: { http: 429, type: 'insufficient_quota', retry: false },
  rate_limited: { http: 429, type: 'rate_limit_error', retry: true },
  queue_full: { http: 429, type: 'rate_limit_error', retry: true },
  headers_too_large: { http: 431, type: 'invalid_request_error', retry: false },
  cancelled: { http: 499, type: 'api_error', retry: false },
  internal_error: { http: 500, type: 'api_error', retry: true },
  backend_failed: { http: 502, type: 'api_error', retry: true },
  attempts_exhausted: { http: 502, type: 'api_error', retry: true },
  continuation_impossible: { http: 502, type: 'api_error', retry: true },
  result_lost: { http: 502, type: 'api_error', retry: true },
  unavailable: { http: 503, type: 'api_error', retry: true },
  no_cluster_within_ceiling: { http: 503, type: 'api_error', retry: true },
  no_cluster_in_region: { http: 503, type: 'api_error', retry: true },
  deadline_exceeded: { http: 504, type: 'api_error', retry: true },
} as const satisfies Record<string, { http: number; type: string; retry: boolean }>;

export type FailureCode = keyof typeof failures;
export const failureCodes = Object.keys(failures) as [FailureCode, ...FailureCode[]];

/** The world refusing, as a value that can be thrown. Translated once, at the edge. Match on `code`. */
export class DroverError extends Error {
  readonly code: FailureCode;
  /** The request field at fault, as OpenAI's `param`; null when no single field is. */
  readonly param: string | null;
  /** When to come back, in seconds; null when that is unknown. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: FailureCode,
    message: string,
    options: { cause?: unknown; param?: string | null; retryAfterSeconds?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'DroverError';
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }
}
