import type { LlamaHttp } from './http.ts';

const line = /^llamacpp:requests_deferred(?:\{[^}]*\})? (\d+)/m;

/** Requests that llama.cpp holds back for want of a slot; undefined when it does not tell (`--metrics` is off). */
export async function deferredRequests(http: LlamaHttp): Promise<number | undefined> {
  try {
    const text = await http.text('GET', '/metrics', undefined, AbortSignal.timeout(1_000));
    const count = line.exec(text)?.[1];
    return count === undefined ? undefined : Number(count);
  } catch {
    return undefined;
  }
}
