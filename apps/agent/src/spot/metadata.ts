import type { MetadataAnswer } from '../core/spot/notice.ts';

/** The address of the metadata service, the same in all three clouds: only this machine reaches it. */
export const linkLocal = 'http://169.254.169.254';

export type Asked = MetadataAnswer & { readonly header: (name: string) => string | undefined };

/** Asks the metadata service once. @throws when nobody answers within `timeoutMs`, or `signal` aborts */
export async function ask(
  url: string,
  options: {
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly timeoutMs: number;
    readonly method?: 'GET' | 'PUT';
  },
): Promise<Asked> {
  const { headers, signal, timeoutMs, method = 'GET' } = options;
  const response = await fetch(url, {
    method,
    headers,
    // A redirect would lead away from this machine.
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
  return {
    status: response.status,
    body: await response.text(),
    header: (name) => response.headers.get(name) ?? undefined,
  };
}
