import { Pool } from 'undici';
import type { z } from 'zod';
import { eventFeed } from '../event-feed.ts';
import { BackendError } from './backend-error.ts';
import { Exchange } from './exchange.ts';
import { jsonOf } from './json.ts';

type Json = Readonly<Record<string, unknown>>;

const callsMax = 3;

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
    await this.#exchange('POST', path, body, signal, eventFeed(onEvents));
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

function parsed<T>(schema: z.ZodType<T>, text: string, path: string): T {
  const result = schema.safeParse(jsonOf(text));
  if (result.success) return result.data;
  throw new BackendError({ kind: 'failed', message: `llama.cpp: unexpected answer from ${path}` });
}
