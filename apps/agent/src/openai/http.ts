import { Agent, request } from 'undici';
import { z } from 'zod';
import { type ProviderRefusal, providerRefusalOf } from '../core/openai/refusal.ts';
import { eventFeed } from '../event-feed.ts';
import { BackendError } from '../llama/backend-error.ts';
import { jsonOf } from '../llama/json.ts';

type Json = Readonly<Record<string, unknown>>;

/** Refusals are short; what is longer is no OpenAI error. */
const refusalMax = 64 * 1024;

const errorAnswer = z.object({
  error: z.object({
    message: z.string().optional(),
    type: z.string().nullish(),
    code: z.union([z.number(), z.string()]).nullish(),
  }),
});

/** The provider said no: it ran nothing, and charges nothing. */
export class ProviderRefused extends BackendError {}

/**
 * The HTTP side of a provider. Sends the key and the body, and no header of any client: none comes this far. Redirections
 * are not followed, as they would carry the key elsewhere.
 */
export class ProviderHttp {
  readonly name = 'the provider';
  readonly #baseUrl: string;
  readonly #key: () => Promise<string | undefined>;
  readonly #agent: Agent;

  /** @param options.key read for every request, so that a new one needs no restart */
  constructor(options: {
    baseUrl: string;
    key: () => Promise<string | undefined>;
    connectMs: number;
    answerMs: number;
  }) {
    this.#baseUrl = options.baseUrl.replace(/\/+$/, '');
    this.#key = options.key;
    this.#agent = new Agent({
      connect: { timeout: options.connectMs },
      headersTimeout: options.answerMs,
      bodyTimeout: options.answerMs,
    });
  }

  /** The whole answer as text. @throws BackendError; the signal's reason when it was aborted */
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

  /** Posts and reads server-sent events. @throws as `text`, or what `onEvents` throws (the connection is closed) */
  async stream(
    path: string,
    body: Json,
    signal: AbortSignal,
    onEvents: (events: readonly string[]) => void,
  ): Promise<void> {
    await this.#exchange('POST', path, body, signal, eventFeed(onEvents));
  }

  /** The status of an answer, whatever it is. @throws BackendError when there is none */
  async status(path: string, timeoutMs: number): Promise<number> {
    const { response } = await this.#send('GET', path, undefined, AbortSignal.timeout(timeoutMs));
    await response.body.dump();
    return response.statusCode;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #exchange(
    method: 'GET' | 'POST',
    path: string,
    body: Json | undefined,
    signal: AbortSignal,
    onText: (part: string) => void,
  ): Promise<void> {
    const { response, key } = await this.#send(method, path, body, signal);
    const decoder = new TextDecoder();
    const isGood = response.statusCode >= 200 && response.statusCode < 300;
    let refusal = '';
    try {
      for await (const chunk of response.body) {
        const part = decoder.decode(bytesOf(chunk), { stream: true });
        if (isGood) onText(part);
        else if (refusal.length < refusalMax) refusal += part;
      }
    } catch (error) {
      throw failureOf(error, signal);
    }
    if (isGood) return;
    const answer = errorAnswer.safeParse(jsonOf(hidden(refusal, key)));
    const said: ProviderRefusal = {
      status: response.statusCode,
      headers: plainHeaders(response.headers),
      error: answer.success ? answer.data.error : undefined,
    };
    throw new ProviderRefused(providerRefusalOf(said, Date.now()));
  }

  async #send(method: 'GET' | 'POST', path: string, body: Json | undefined, signal: AbortSignal) {
    const key = await this.#key();
    try {
      const response = await request(`${this.#baseUrl}${path}`, {
        method,
        dispatcher: this.#agent,
        signal,
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          'user-agent': 'drover',
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      return { response, key };
    } catch (error) {
      throw failureOf(error, signal);
    }
  }
}

/** A provider may repeat the key that it refuses; messages go to clients and logs. */
const hidden = (text: string, key: string | undefined): string =>
  key === undefined ? text : text.replaceAll(key, '(key)');

const bytesOf = (chunk: unknown): Uint8Array =>
  chunk instanceof Uint8Array ? chunk : new TextEncoder().encode(String(chunk));

const plainHeaders = (headers: Readonly<Record<string, string | string[] | undefined>>) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );

/** Nobody was reached: nothing can have been asked. */
const unreached = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function failureOf(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof BackendError) return error;
  if (!(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  const kind = unreached.has(code) ? 'down' : 'failed';
  return new BackendError({ kind, message: `the provider: ${code}` }, error);
}
