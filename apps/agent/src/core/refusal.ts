import type { FailureCode } from '@drover/schemas';

/**
 * Why llama.cpp gave no (whole) answer.
 * - `refused`: it will never answer this request; the client is told.
 * - `down`: it was not there to be asked; the request is given back and nobody is blamed.
 * - `failed`: it broke while it was at it; the request is given back.
 * - `limited`: a provider takes no more for a while; the request is given back and nobody is blamed.
 */
export type Refusal =
  | { readonly kind: 'refused'; readonly code: FailureCode; readonly message: string }
  | { readonly kind: 'down' | 'failed'; readonly message: string }
  | { readonly kind: 'limited'; readonly message: string; readonly retryAfterMs: number };

/** Pure. Reads an error answer. `error` is what llama.cpp says in `{"error": …}`, if it said that. */
export function refusalOf(
  status: number,
  error: { readonly message?: string | undefined; readonly type?: string | undefined } | undefined,
): Refusal {
  const message = error?.message ?? `llama.cpp answered with status ${status}`;
  if (error?.type === 'exceed_context_size_error')
    return { kind: 'refused', code: 'context_length_exceeded', message };
  if (status === 503 || error?.type === 'unavailable_error') return { kind: 'down', message };
  // 408 and 429 come from something in between; the request itself is not at fault.
  if (status >= 400 && status < 500 && status !== 408 && status !== 429)
    return { kind: 'refused', code: 'backend_refused', message };
  // llama.cpp answers 501 for an endpoint that it was not started for.
  if (status === 501) return { kind: 'refused', code: 'endpoint_not_served', message };
  return { kind: 'failed', message };
}
