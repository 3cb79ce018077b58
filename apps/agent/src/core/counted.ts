import type { Usage } from '@drover/schemas';
import type { Timings } from './finish.ts';

/** What llama.cpp had counted of an answer when it was asked last. */
export type Counted = {
  /** Absent: it ran, and nobody could tell how much. */
  readonly usage?: Usage | undefined;
  /** Whether this is all that it had used by then. */
  readonly isAll: boolean;
};

export const uncounted: Counted = { isAll: false };

/**
 * Pure. The tokens of a streamed answer so far, from the latest timings of each choice. The prompt is read once for the
 * `choices` that share it.
 */
export function countedInChunks(latest: ReadonlyMap<number, Timings>, choices: number): Counted | undefined {
  if (latest.size === 0) return undefined;
  const each = [...latest.values()];
  return { usage: usageOf(each.map(readAndSaid), choices), isAll: true };
}

const readAndSaid = ({ cache_n = 0, prompt_n, predicted_n }: Timings) => ({
  cached: cache_n,
  read: prompt_n,
  said: predicted_n,
});

/** A slot of llama.cpp, as `/slots` shows it. */
export type Slot = {
  readonly is_processing: boolean;
  readonly n_prompt_tokens_processed?: number | undefined;
  readonly n_prompt_tokens_cache?: number | undefined;
  readonly params?: { readonly seed?: number | undefined } | undefined;
  readonly next_token?: readonly { readonly n_decoded?: number | undefined }[] | undefined;
};

/**
 * Pure. The tokens of an answer that is not streamed, from the slots that run it. llama.cpp does not say which slot is whose;
 * its seed tells. Choice `i` of a prompt has the seed of the request plus `i`.
 * @param ask what was asked: the seed, the choices of each prompt, and the prompts
 * @returns undefined when it has not said a token: it waits, or still reads its prompt
 */
export function countedInSlots(
  slots: readonly Slot[],
  ask: { readonly seed: number; readonly choices: number; readonly prompts: number },
): Counted | undefined {
  const mine = slots.filter(({ is_processing, params }) => {
    const ahead = (params?.seed ?? Number.NaN) - ask.seed;
    return is_processing && ahead >= 0 && ahead < ask.choices;
  });
  const wanted = ask.choices * ask.prompts;
  // Another client has chosen the same seed.
  if (mine.length > wanted) return uncounted;
  const each = mine.map(({ n_prompt_tokens_cache, n_prompt_tokens_processed, next_token }) => ({
    cached: n_prompt_tokens_cache,
    read: n_prompt_tokens_processed,
    said: next_token?.[0]?.n_decoded,
  }));
  if (!each.every(isTold)) return uncounted;
  if (each.every(({ said }) => said === 0)) return undefined;
  return { usage: usageOf(each, ask.choices), isAll: mine.length === wanted };
}

type Part = { readonly cached: number; readonly read: number; readonly said: number };

const isTold = (part: { readonly [Key in keyof Part]: Part[Key] | undefined }): part is Part =>
  part.cached !== undefined && part.read !== undefined && part.said !== undefined;

function usageOf(parts: readonly Part[], choices: number): Usage {
  const sum = (of: (part: Part) => number) => parts.reduce((total, part) => total + of(part), 0);
  const perPrompt = (total: number) => Math.round(total / Math.max(1, Math.min(choices, parts.length)));
  return {
    promptTokens: perPrompt(sum(({ cached, read }) => cached + read)),
    completionTokens: sum(({ said }) => said),
    cachedTokens: perPrompt(sum(({ cached }) => cached)),
  };
}
