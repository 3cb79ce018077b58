import type { Refusal } from '../core/refusal.ts';

/** llama.cpp gave no (whole) answer; `refusal` says what that means for the request. */
export class BackendError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, cause?: unknown) {
    super(refusal.message, { cause });
    this.name = 'BackendError';
    this.refusal = refusal;
  }
}
