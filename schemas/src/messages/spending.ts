import { z } from 'zod';

const sum = z.strictObject({
  /** The UTC day (`2026-01-31`) or month (`2026-01`) that it is the sum of. */
  period: z.string(),
  usd: z.number().min(0),
});

/**
 * What a provider has been paid in the periods that its budgets run over; `llm.spending.<cluster>`. Written by the
 * agents of the cluster, with compare-and-set: before a request the most that it can cost is added, after it the
 * difference is taken off. An agent that dies in between leaves the bound, so the sums are never less than what was spent.
 */
export const spending = z.strictObject({
  v: z.literal(1),
  day: sum,
  month: sum,
  /** Tokens of an agent's self-benchmark, for which no price was known yet; the next request pays for them. */
  unpriced: z.strictObject({ promptTokens: z.int().min(0), completionTokens: z.int().min(0) }),
  /** Tells one write from the next. */
  writtenBy: z.string(),
});
export type Spending = z.infer<typeof spending>;
