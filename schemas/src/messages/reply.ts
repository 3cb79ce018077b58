import { z } from 'zod';
import { outcome, usage } from './outcome.ts';
import { portion, tokenPrices } from './portion.ts';

/**
 * What a reader receives on `llm.reply.<writer>.<tenant>.<request>`. Field names are short because there may be one
 * message per token. Every message carries the fence `f` of its writer (the sequence of its `running` event): readers
 * ignore lower fences than the highest they have seen. A reply is a sequence of *units*, numbered from 0 across all
 * attempts; what a unit is depends on `mode`.
 */
const base = { v: z.literal(1), f: z.int().min(0) };

/**
 * - `tokens`: one unit per token, with its id. An interrupted reply is continued from the last unit.
 * - `deltas`: one unit per chunk of llama.cpp's own stream (tools, response_format, n > 1, logprobs); not continuable.
 * - `body`: slices of llama.cpp's JSON answer (not streamed); a restart replaces it.
 */
export const replyMode = z.enum(['tokens', 'deltas', 'body']);
export type ReplyMode = z.infer<typeof replyMode>;

export const reply = z.discriminatedUnion('k', [
  /**
   * The owner changed. Published before the new owner reads what was already said, so that whatever a stale owner still
   * says comes after it and is ignored. Not needed for a first attempt.
   */
  z.strictObject({ ...base, k: z.literal('claim') }),
  /** An attempt begins (or takes over) at unit `i`. Published before any of its units. */
  z.strictObject({
    ...base,
    k: z.literal('open'),
    i: z.int().min(0),
    mode: replyMode,
    attempt: z.int().min(1),
    cluster: z.string(),
    model: z.string(),
    modelHash: z.string(),
    /** How long the scheduler held the request, in ms. */
    queueMs: z.number(),
    /** From the agent's receipt of the job to the backend's first output, in ms. */
    backendMs: z.number(),
    ...tokenPrices,
    /** Tokens of the prompt, as soon as the backend has told them. */
    promptTokens: z.int().min(0).optional(),
    /** What earlier attempts said of this reply, when this one continues them. */
    earlier: z.array(portion).optional(),
    bodyHash: z.string().optional(),
  }),
  /**
   * Tokens `i … i + ids.length - 1`, with the text that each added. llama.cpp holds text back (half a character, half a
   * stop string); the text then comes with the token that completed it. A message always ends where no text is held back,
   * so that a continuation from its end is exact.
   */
  z.strictObject({
    ...base,
    k: z.literal('tokens'),
    i: z.int().min(0),
    ids: z.array(z.int()).min(1),
    t: z.array(z.string()).min(1),
  }),
  /** Chunks `i … i + d.length - 1`, each the `choices` of one chunk of llama.cpp. */
  z.strictObject({
    ...base,
    k: z.literal('deltas'),
    i: z.int().min(0),
    d: z.array(z.array(z.unknown())).min(1),
    /** What llama.cpp had counted by the last of them: chunks are no tokens. Absent where it does not count along. */
    usage: usage.optional(),
  }),
  /** Slice `i` of the JSON text of the answer. */
  z.strictObject({ ...base, k: z.literal('body'), i: z.int().min(0), t: z.string() }),
  /**
   * Nobody can take the request yet, and about how long that will last, in ms, when anybody knows. From a scheduler, with
   * fence 0; it changes nothing of the reply, and may be lost.
   */
  z.strictObject({ ...base, k: z.literal('wait'), etaMs: z.number().min(0).optional() }),
  /** The committed outcome. `f` is the fence of the agent, or the sequence of the `ended` event of any other writer. */
  z.strictObject({ ...base, k: z.literal('end'), outcome }),
]);
export type Reply = z.infer<typeof reply>;

/** How many units a message carries. */
export function unitsIn(message: Reply): number {
  switch (message.k) {
    case 'tokens':
      return message.ids.length;
    case 'deltas':
      return message.d.length;
    case 'body':
      return 1;
    default:
      return 0;
  }
}
