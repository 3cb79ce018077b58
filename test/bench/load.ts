import { Agent, request as httpRequest } from 'node:http';

/** Where requests go. Connections are kept open, as a client library keeps them. */
export type Target = { readonly url: string; readonly apiKey: string; readonly agent: Agent };

export const targetOf = (url: string, apiKey: string): Target => ({
  url,
  apiKey,
  agent: new Agent({ keepAlive: true, maxSockets: 256 }),
});

/** What one request showed; times in ms from its start. */
export type Sample = {
  readonly ttftMs: number;
  readonly totalMs: number;
  /** Content deltas; 0 without streaming. */
  readonly tokens: number;
  readonly queueMs: number | undefined;
  readonly overheadMs: number | undefined;
};

/** A chat request of `tokens` tokens. @throws when it is not answered whole */
export function ask(target: Target, options: { stream: boolean; tokens: number }): Promise<Sample> {
  const body = JSON.stringify({
    model: 'smollm2-135m-instruct',
    messages: [{ role: 'user', content: 'Say something.' }],
    max_tokens: options.tokens,
    stream: options.stream,
  });
  const startedAtMs = performance.now();
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${target.url}/v1/chat/completions`,
      {
        method: 'POST',
        agent: target.agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          authorization: `Bearer ${target.apiKey}`,
        },
      },
      (response) => {
        let text = '';
        let ttftMs: number | undefined;
        response.setEncoding('latin1');
        response.on('data', (chunk: string) => {
          text += chunk;
          // The first chunk of a stream may only say the role.
          if (ttftMs === undefined && (!options.stream || text.includes('"content":" ')))
            ttftMs = performance.now() - startedAtMs;
        });
        response.on('error', reject);
        response.on('end', () => {
          const whole = options.stream ? text.includes('data: [DONE]') : text.endsWith('}');
          if (response.statusCode !== 200 || !whole || ttftMs === undefined) {
            reject(new Error(`${target.url} answered ${response.statusCode}: ${text.slice(0, 300)}`));
            return;
          }
          resolve({
            ttftMs,
            totalMs: performance.now() - startedAtMs,
            tokens: options.stream ? text.split('"content":" ').length - 1 : 0,
            queueMs: ms(response.headers['x-drover-queue-ms']),
            overheadMs: ms(response.headers['x-drover-overhead-ms']),
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

const ms = (header: string | string[] | undefined): number | undefined =>
  typeof header === 'string' ? Number(header) : undefined;

/** Starts requests at a fixed rate, whether or not earlier ones have ended. */
export async function atRate(
  perSecond: number,
  seconds: number,
  one: () => Promise<Sample>,
): Promise<Sample[]> {
  const startedAtMs = performance.now();
  const running: Promise<Sample>[] = [];
  for (let n = 0; n < perSecond * seconds; n++) {
    const waitMs = startedAtMs + (n * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    running.push(one());
  }
  return Promise.all(running);
}

/** Keeps `workers` requests running for so long. `seconds` is how long it took until the last of them had ended. */
export async function concurrently(
  workers: number,
  seconds: number,
  one: () => Promise<Sample>,
): Promise<{ samples: Sample[]; seconds: number }> {
  const startedAtMs = performance.now();
  const samples: Sample[] = [];
  const worker = async () => {
    while (performance.now() - startedAtMs < seconds * 1_000) samples.push(await one());
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return { samples, seconds: (performance.now() - startedAtMs) / 1_000 };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
