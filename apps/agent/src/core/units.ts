import type { Unit } from '@drover/schemas';

/** One event of `/completion` with `stream` and `return_tokens`, before the last. */
export type TokenChunk = {
  readonly content: string;
  readonly tokens: readonly number[];
  /** Tokens generated so far. */
  readonly tokens_predicted: number;
};

/**
 * What has been generated but not said. llama.cpp holds text back in two ways: tokens that may begin a stop string
 * come with their id and no content; tokens that end inside a character do not come at all, and are only counted.
 */
export type TokenState = {
  /** Tokens generated up to the last chunk. */
  readonly counted: number;
  readonly heldIds: readonly number[];
  readonly missing: number;
};

export const noTokens: TokenState = { counted: 0, heldIds: [], missing: 0 };

/** A question that only llama.cpp's vocabulary answers; `units` of the step stay empty until it is resolved. */
export type Need =
  | {
      readonly kind: 'tokenize';
      readonly text: string;
      /** The ids that are known to end the text, and how many tokens it must be. */
      readonly knownIds: readonly number[];
      readonly count: number;
    }
  | { readonly kind: 'detokenize'; readonly ids: readonly number[] };

export type Step = { readonly state: TokenState; readonly units: readonly Unit[]; readonly need?: Need };

/**
 * Pure. Takes one chunk. Units come out only when no text is held back behind them, so that everything said so far is
 * a place from which another agent can continue exactly.
 */
export function takeChunk(state: TokenState, chunk: TokenChunk): Step {
  const missing = state.missing + Math.max(0, chunk.tokens_predicted - state.counted - chunk.tokens.length);
  const ids = [...state.heldIds, ...chunk.tokens];
  const counted = Math.max(chunk.tokens_predicted, state.counted);
  if (chunk.content === '') return { state: { counted, heldIds: ids, missing }, units: [] };
  const next: TokenState = { counted, heldIds: [], missing: 0 };
  if (missing === 0 && ids.length > 0) return { state: next, units: unitsOf(ids, chunk.content) };
  const need: Need = {
    kind: 'tokenize',
    text: chunk.content,
    knownIds: chunk.tokens,
    count: ids.length + missing,
  };
  return { state: next, units: [], need };
}

/**
 * Pure. Takes the end. What is held then is an end-of-text token or (part of) the stop string, and is dropped; only at
 * the token limit it is text that belongs to the answer.
 */
export function takeEnd(state: TokenState, stopType: string): Step {
  const held = state.heldIds;
  if (stopType !== 'limit' || held.length === 0) return { state: noTokens, units: [] };
  return { state: noTokens, units: [], need: { kind: 'detokenize', ids: held } };
}

/**
 * Pure. The units of a text whose ids were not all sent. llama.cpp's own tokenisation of the text almost always is what
 * was generated; where it is not, the text is still exact, and a continuation sees the same text in other tokens.
 * @returns no units when the text has no tokens at all
 */
export function resolveTokens(need: Extract<Need, { kind: 'tokenize' }>, ids: readonly number[]): Unit[] {
  return unitsOf(ids.length > 0 ? ids : need.knownIds, need.text);
}

/** Pure. The units of text that was held at the limit; half a character at the end is dropped. */
export function resolveText(need: Extract<Need, { kind: 'detokenize' }>, text: string): Unit[] {
  const whole = text.replace(/\uFFFD+$/, '');
  return whole === '' ? [] : unitsOf(need.ids, whole);
}

/** The text comes with the token that completed it. */
const unitsOf = (ids: readonly number[], text: string): Unit[] =>
  ids.map((id, index) => ({ k: 'token', id, t: index === ids.length - 1 ? text : '' }));
