import type { Dispatcher } from 'undici';
import { refusalOf } from '../core/refusal.ts';
import { errorAnswer } from './answers.ts';
import { BackendError } from './backend-error.ts';
import { jsonOf } from './json.ts';

/** A connection that was being closed breaks this soon after something was sent on it. */
const closedWithinMs = 100;

/** One request and its answer. Aborting closes the connection, which frees the slot in llama.cpp. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal;
  readonly #onText: (part: string) => void;
  readonly #outcome = Promise.withResolvers<void>();
  readonly #decoder = new TextDecoder();
  #sentMs = Number.NEGATIVE_INFINITY;
  #status = 0;
  #refusal = '';
  #abort: (() => void) | undefined;
  #metClosedConnection = false;

  constructor(signal: AbortSignal, onText: (part: string) => void) {
    this.#signal = signal;
    this.#onText = onText;
  }

  /** Resolves at the end of a good answer. */
  get done(): Promise<void> {
    return this.#outcome.promise;
  }

  /** The connection broke at once and before any answer: it was already being closed, and nobody read the request. */
  get metClosedConnection(): boolean {
    return this.#metClosedConnection;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#sentMs = performance.now();
    const abort = () => controller.abort(new Error('aborted'));
    if (this.#signal.aborted) {
      abort();
      return;
    }
    this.#abort = abort;
    this.#signal.addEventListener('abort', abort, { once: true });
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const part = this.#decoder.decode(chunk, { stream: true });
    if (this.#status >= 400) {
      this.#refusal += part;
      return;
    }
    try {
      this.#onText(part);
    } catch (error) {
      this.#settle(() => this.#outcome.reject(error));
      controller.abort(new Error('answer refused'));
    }
  }

  onResponseEnd(): void {
    this.#settle(() => {
      if (this.#status < 400) this.#outcome.resolve();
      else this.#outcome.reject(new BackendError(readRefusal(this.#status, this.#refusal)));
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const aborted = this.#signal.aborted;
    this.#metClosedConnection =
      !aborted && this.#status === 0 && performance.now() - this.#sentMs < closedWithinMs;
    this.#settle(() => this.#outcome.reject(aborted ? this.#signal.reason : connectionError(error)));
  }

  #settle(act: () => void): void {
    if (this.#abort) this.#signal.removeEventListener('abort', this.#abort);
    act();
  }
}

function readRefusal(status: number, text: string) {
  const answer = errorAnswer.safeParse(jsonOf(text));
  return refusalOf(status, answer.success ? answer.data.error : undefined);
}

/** Refused connections were never a request; every other broken one may have been. */
function connectionError(error: Error & { code?: string }): BackendError {
  const refused = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'];
  const kind = refused.includes(error.code ?? '') ? 'down' : 'failed';
  return new BackendError({ kind, message: `llama.cpp: ${error.code ?? error.message}` }, error);
}
