import { Agent, request as httpRequest } from 'node:http';
import { httpHeaders } from '@drover/schemas';
import { localModel } from '../../../infra/local/src/clusters.ts';
import type { Random } from '../fleet/random.ts';

/** One request of the load, before anybody has answered it. */
export type Planned = {
  readonly id: number;
  /** From the start of the load. */
  readonly atMs: number;
  readonly words: number;
  readonly maxTokens: number;
};

export type Target = { readonly url: string; readonly apiKey: string; readonly agent: Agent };

export const targetOf = (url: string, apiKey: string): Target => ({
  url,
  apiKey,
  agent: new Agent({ keepAlive: true, maxSockets: 128 }),
});

/** What the client saw; times in ms on its clock, from the start of the process. */
export type Answer = {
  readonly cluster: string;
  readonly attempts: number;
  readonly startedAtMs: number;
  /** When content came, one entry for each piece. */
  readonly saidAtMs: readonly number[];
  readonly endedAtMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
};

export const deadlineMs = 120_000;
/** The end of a turn is made impossible, so that an answer is as long as it was asked to be. */
const endless = { '0': -100, '2': -100 };
const vocabulary =
  'river stone cloud green market seven window yellow train paper winter garden silver morning bridge apple'.split(
    ' ',
  );

/** Words that no other prompt begins with: nothing of it is in a cache. */
export const wordsOf = (count: number, random: Random): string =>
  Array.from({ length: count }, () => vocabulary[Math.floor(random.uniform() * vocabulary.length)]).join(' ');

/** A streamed chat request. @throws when it is not answered whole */
export function ask(
  { url, apiKey, agent }: Target,
  prompt: string,
  maxTokens: number,
  signal?: AbortSignal,
): Promise<Answer> {
  const body = JSON.stringify({
    model: localModel,
    messages: [
      { role: 'system', content: prompt },
      { role: 'user', content: 'Go on.' },
    ],
    max_tokens: maxTokens,
    logit_bias: endless,
    stream: true,
    stream_options: { include_usage: true },
  });
  const startedAtMs = performance.now();
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${url}/v1/chat/completions`,
      {
        method: 'POST',
        agent,
        ...(signal ? { signal } : {}),
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          authorization: `Bearer ${apiKey}`,
          [httpHeaders.deadlineMs]: String(deadlineMs),
        },
      },
      (response) => {
        let text = '';
        let seen = 0;
        const saidAtMs: number[] = [];
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          const nowMs = performance.now();
          for (const [, end] of lines(text, seen)) {
            if (isContent(text.slice(seen, end))) saidAtMs.push(nowMs);
            seen = end;
          }
        });
        response.on('error', reject);
        response.on('end', () => {
          const usage = usageIn(text);
          if (response.statusCode !== 200 || !text.includes('data: [DONE]') || !usage) {
            reject(new Error(`${url} answered ${response.statusCode}: ${text.slice(0, 300)}`));
            return;
          }
          resolve({
            cluster: String(response.headers[httpHeaders.cluster] ?? ''),
            attempts: Number(response.headers[httpHeaders.attempts] ?? 1),
            startedAtMs,
            saidAtMs,
            endedAtMs: performance.now(),
            ...usage,
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** Whole lines of a text from a position on, as [start, end). */
function* lines(text: string, from: number): Generator<[number, number]> {
  for (let start = from; ; ) {
    const end = text.indexOf('\n', start);
    if (end < 0) return;
    yield [start, end + 1];
    start = end + 1;
  }
}

const isContent = (line: string): boolean => /"content":"[^"]/.test(line);

function usageIn(text: string) {
  const number = (name: string) => Number(new RegExp(`"${name}":\\s*(\\d+)`).exec(text)?.[1] ?? Number.NaN);
  const [promptTokens, completionTokens] = [number('prompt_tokens'), number('completion_tokens')];
  const cachedTokens = number('cached_tokens');
  if (Number.isNaN(promptTokens) || Number.isNaN(completionTokens)) return undefined;
  return { promptTokens, completionTokens, cachedTokens: Number.isNaN(cachedTokens) ? 0 : cachedTokens };
}

export const ttftOf = ({ saidAtMs, startedAtMs }: Answer): number =>
  (saidAtMs[0] ?? Number.NaN) - startedAtMs;
