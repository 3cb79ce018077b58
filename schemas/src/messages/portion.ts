import { z } from 'zod';

/** What each token of an attempt costs, as it was when the attempt was assigned; absent while it was not measured. */
export const tokenPrices = {
  /** Nominal $/1K output tokens: the node's price over what it can say with all slots busy. */
  usdPer1k: z.number().min(0).optional(),
  /** $/1K prompt tokens: the node's price over what it can read. */
  usdPer1kPrompt: z.number().min(0).optional(),
};

/**
 * The tokens of a request that one attempt accounts for. The prompt belongs to the first attempt that said something: one
 * that continues reads it again, and that is not the client's affair.
 */
export const portion = z.strictObject({
  cluster: z.string(),
  attempt: z.int().min(1),
  promptTokens: z.int().min(0),
  completionTokens: z.int().min(0),
  /** More may have been used than these counts say, and nobody can tell how much. Only what was counted is charged. */
  uncounted: z.literal(true).optional(),
  ...tokenPrices,
});
export type Portion = z.infer<typeof portion>;
