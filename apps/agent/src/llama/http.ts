import { createParser } from 'eventsource-parser';
import { type Dispatcher, Pool } from 'undici';
import type { z } from 'zod';
import { refusalOf } from '../core/refusal.ts';
import { errorAnswer } from './answers.ts';
import { BackendError } from './backend-error.ts';

type Json = Readonly<Record<string, unknown>>;

const callsMax = 3;
/** A connection that was being closed breaks this soon after something was sent on it. */
const closedWithinMs = 100;

/**
 * The HTTP side of one llama.cpp server. As many connections as calls at a time, kept for the next ones: a new one for
 * each call would cost half a millisecond of processor time per job.
 */
export class LlamaHttp {
  readonly #pool: Pool;

  constructor(url: string) {
    this.#pool = new Pool(url, {
      // A prompt may take minutes before the first byte; deadlines and stalls are watched per job.
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: 1_000,
      // llama.cpp closes an idle connection after 5 s: be first, so that no call meets a closing one.
      keepAliveTimeout: 2_000,
      keepAliveMaxTimeout: 2_000,
    });
  }

  /** @throws BackendError when there is no answer, or one that says no or does not parse */
  async get<T>(path: string, schema: z.ZodType<T>, timeoutMs: number): Promise<T> {
    return parsed(schema, await this.text('GET', path, undefined, AbortSignal.timeout(timeoutMs)), path);
  }

  /** @throws BackendError as `get`; the signal's reason when it was aborted */
  async post<T>(path: string, body: Json, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return parsed(schema, await this.text('POST', path, body, signal), path);
  }

  /** The whole answer as text. @throws as `post` */
  async text(
    method: 'GET' | 'POST',
    path: string,
    body: Json | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    let text = '';
    await this.#exchange(method, path, body, signal, (part) => {
      text += part;
    });
    return text;
  }

  /**
   * Posts and reads server-sent events. `onEvents` gets the data of all events of one piece from the network at a
   * time. Resolves at the end of the answer. @throws as `post`, or what `onEvents` throws (the connection is closed)
   */
  async stream(
    path: string,
    body: Json,
    signal: AbortSignal,
    onEvents: (events: readonly string[]) => void,
  ): Promise<void> {
    let events: string[] = [];
    const parser = createParser({ onEvent: ({ data }) => events.push(data) });
    await this.#exchange('POST', path, body, signal, (part) => {
      parser.feed(part);
      if (events.length === 0) return;
      const complete = events;
      events = [];
      onEvents(complete);
    });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  /** llama.cpp closes connections without notice; a call that met one is made again. */
  async #exchange(
    method: 'GET' | 'POST',
    path: string,
    body: Json | undefined,
    signal: AbortSignal,
    onText: (part: string) => void,
  ): Promise<void> {
    const headers = { 'content-type': 'application/json' };
    const text = body === undefined ? null : JSON.stringify(body);
    let failure: unknown;
    for (let call = 1; call <= callsMax; call++) {
      const exchange = new Exchange(signal, onText);
      this.#pool.dispatch({ method, path, headers, body: text }, exchange);
      try {
        return await exchange.done;
      } catch (error) {
        // The first tells: after a crash, the next call only finds nobody.
        failure ??= error;
        if (!exchange.metClosedConnection) break;
      }
    }
    throw failure;
  }
}

/** One request and its answer. Aborting closes the connection, which frees the slot in llama.cpp. */
class Exchange implements Dispatcher.DispatchHandler {
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

function parsed<T>(schema: z.ZodType<T>, text: string, path: string): T {
  const result = schema.safeParse(jsonOf(text));
  if (result.success) return result.data;
  throw new BackendError({ kind: 'failed', message: `llama.cpp: unexpected answer from ${path}` });
}

/** Undefined when it is not JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
