import { z } from 'zod';
import { failureCodes } from '../failures.ts';

/** Tokens as llama.cpp counted them. `cachedTokens` is the part of the prompt whose KV cache was reused. */
export const usage = z.strictObject({
  promptTokens: z.int().min(0),
  completionTokens: z.int().min(0),
  cachedTokens: z.int().min(0).optional(),
});
export type Usage = z.infer<typeof usage>;

/** How a request ended. Exactly one is ever committed for a request id. */
export const outcome = z.discriminatedUnion('status', [
  z.strictObject({
    status: z.literal('done'),
    /** OpenAI's finish_reason of the first choice. */
    finish: z.string(),
    /** Units in the whole reply, so that a reader knows when it has everything. */
    units: z.int().min(0),
    usage: usage.optional(),
  }),
  z.strictObject({
    status: z.literal('failed'),
    code: z.enum(failureCodes),
    message: z.string(),
    /** What the client already has. */
    units: z.int().min(0).default(0),
    usage: usage.optional(),
    /** How long to wait before the same is asked again, in ms; absent where nobody knows. */
    retryAfterMs: z.number().min(0).optional(),
  }),
  z.strictObject({
    status: z.literal('cancelled'),
    units: z.int().min(0).default(0),
    usage: usage.optional(),
  }),
]);
export type Outcome = z.infer<typeof outcome>;
