import { setTimeout as sleep } from 'node:timers/promises';
import { type Parsed, parseValue } from '@drover/schemas';
import type { z } from 'zod';
import { type Answer, given, type Refused, refuse } from '../core/answer.ts';

export type HttpOptions = {
  readonly signal: AbortSignal;
  /** For one try, the body included, in ms. */
  readonly timeoutMs: number;
  readonly tries: number;
  /** Before the second try, in ms; doubled for each further one, and never the same twice. */
  readonly pauseMs: number;
};

export const httpDefaults = { timeoutMs: 20_000, tries: 4, pauseMs: 500 } as const;

/** A page of five thousand SKUs has about 8 MB. */
const bytesMax = 64_000_000;
/** A server may ask for any pause; the next turn is never far. */
const pauseMsMax = 30_000;

type Try<T> = Answer<T> & { readonly again?: { readonly afterMs?: number } };

/**
 * GETs a JSON document and checks it. Tries again after 429, 5xx and a broken or silent connection, as `Retry-After` asks.
 * The URL must hold no secret: it is named when it fails.
 */
export async function getJson<T>(
  url: URL,
  schema: z.ZodType<T>,
  options: HttpOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer<T>> {
  for (let made = 1; ; made += 1) {
    const answer = await tryOnce(url, schema, options, headers);
    if (answer.ok || !answer.again || made >= options.tries || options.signal.aborted) return answer;
    const backoffMs = options.pauseMs * 2 ** (made - 1) * (0.5 + Math.random());
    const pauseMs = Math.min(pauseMsMax, Math.max(backoffMs, answer.again.afterMs ?? 0));
    await sleep(pauseMs, undefined, { signal: options.signal }).catch(() => {});
  }
}

async function tryOnce<T>(
  url: URL,
  schema: z.ZodType<T>,
  { signal, timeoutMs }: HttpOptions,
  headers: Readonly<Record<string, string>>,
): Promise<Try<T>> {
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json', ...headers },
      // Prices are where the configuration says, and the key goes nowhere else.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    if (response.ok) return parse(await readText(response), schema, url);
    await response.body?.cancel();
    return refusalOf(response, url);
  } catch (error) {
    return { ...refuse('unreachable', `${url.origin}: ${why(error)}`), again: {} };
  }
}

function refusalOf({ status, headers }: Response, url: URL): Refused & { again?: { afterMs?: number } } {
  if (status === 401 || status === 403) return refuse('denied', `${url.origin}: HTTP ${status}`);
  const refused = refuse('unreachable', `${url.origin}: HTTP ${status}`);
  if (status !== 429 && status < 500) return refused;
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  return { ...refused, again: Number.isFinite(seconds) && seconds > 0 ? { afterMs: seconds * 1_000 } : {} };
}

async function readText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > bytesMax) throw new Error(`an answer of more than ${bytesMax} bytes`);
  }
  return text + decoder.decode();
}

function parse<T>(text: string, schema: z.ZodType<T>, url: URL): Answer<T> {
  let parsed: Parsed<T>;
  try {
    parsed = parseValue(schema, JSON.parse(text));
  } catch {
    return refuse('malformed', `${url.origin}: not JSON`);
  }
  return parsed.ok ? given(parsed.value) : refuse('malformed', `${url.origin}: ${parsed.problem}`);
}

/** `fetch failed` says nothing; its cause does. */
const why = (error: unknown): string =>
  error instanceof Error
    ? `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ''}`
    : String(error);
