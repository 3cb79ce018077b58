import type { Endpoint, Request } from '@drover/schemas';

/** Fewer prompts than this say nothing about the next one. */
const samplesMin = 3;
/** What a prompt still counts after the next one: some fifty make the estimate. */
const memory = 0.98;
/** Bytes per token differ by language and by tokenizer, but not by more than this from the guess. */
const slope = { min: 0.5, max: 4 } as const;
/** Pairs of model and endpoint kept; the one that was silent longest goes first. */
const pairsMax = 1_000;

export type PromptEstimate = {
  readonly tokens: number;
  /** `counted`: the client gave token ids. `learned` and `assumed` are estimates. */
  readonly basis: 'counted' | 'learned' | 'assumed';
};

/** Weighted sums over the prompts so far: guess and truth, which a line is drawn through. */
type Sums = { n: number; weight: number; x: number; y: number; xx: number; xy: number };

/**
 * Learns how many tokens a prompt really has, from what finished requests measured: a chat template adds to each prompt, and
 * a token is not four bytes in every language. Truth as a straight line of the guess, by model and endpoint.
 */
export class PromptLengths {
  readonly #pairs = new Map<string, Sums>();

  /** @param guess by the bytes of the text, see prompt-tokens.ts */
  learn(model: string, endpoint: Endpoint, guess: number, measured: number): void {
    const pair = `${model} ${endpoint}`;
    const { n, weight, x, y, xx, xy } = this.#pairs.get(pair) ?? none;
    this.#pairs.delete(pair);
    this.#pairs.set(pair, {
      n: Math.min(samplesMin, n + 1),
      weight: weight * memory + 1,
      x: x * memory + guess,
      y: y * memory + measured,
      xx: xx * memory + guess * guess,
      xy: xy * memory + guess * measured,
    });
    if (this.#pairs.size <= pairsMax) return;
    for (const oldest of this.#pairs.keys()) {
      this.#pairs.delete(oldest);
      return;
    }
  }

  estimate(request: Request, model: string, guess: number): PromptEstimate {
    if (!isGuessed(request)) return { tokens: guess, basis: 'counted' };
    const sums = this.#pairs.get(`${model} ${request.endpoint}`);
    if (sums === undefined || sums.n < samplesMin) return { tokens: guess, basis: 'assumed' };
    return { tokens: onLine(sums, guess), basis: 'learned' };
  }
}

const none: Sums = { n: 0, weight: 0, x: 0, y: 0, xx: 0, xy: 0 };

/** Where all prompts are alike, nothing tells what longer ones would have: then a token more is a token more. */
function onLine({ weight, x, y, xx, xy }: Sums, guess: number): number {
  const [meanX, meanY] = [x / weight, y / weight];
  const variance = xx / weight - meanX * meanX;
  const isSpread = variance > 1 + 0.01 * meanX * meanX;
  const steep = isSpread ? (xy / weight - meanX * meanY) / variance : 1;
  const tokens = meanY + Math.min(slope.max, Math.max(slope.min, steep)) * (guess - meanX);
  return Math.max(1, Math.ceil(slope.min * guess), Math.round(tokens));
}

/** Whether the length of the prompt is a guess that can be learned from: not of token ids, nor of images and sounds. */
export function isGuessed(request: Request): boolean {
  switch (request.endpoint) {
    case 'chat':
      return request.body.messages.every(
        ({ content }) => !Array.isArray(content) || content.every(({ type }) => type === 'text'),
      );
    case 'completion':
      return hasText(request.body.prompt);
    case 'embedding':
      return hasText(request.body.input);
    default:
      return request satisfies never;
  }
}

const hasText = (input: string | readonly (string | number | readonly number[])[]): boolean =>
  typeof input === 'string' || input.every((part) => typeof part === 'string');
