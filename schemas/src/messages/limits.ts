import { z } from 'zod';

const perMinute = z.number().positive().optional();

/**
 * What the keys with limits have taken at one ingress since it last said so, by API key; `llm.limits.<ingress>`. Published
 * plainly: one that is lost lets a little more through.
 */
export const limitsTaken = z.strictObject({
  v: z.literal(1),
  /** The ingress, which hears itself too. */
  from: z.string(),
  taken: z.record(
    z.string(),
    z.strictObject({
      requests: z.number(),
      /** Below 0 when less was needed than had been taken. */
      tokens: z.number(),
      /** The limits of the key, for who has not met it yet. */
      requestsPerMinute: perMinute,
      tokensPerMinute: perMinute,
    }),
  ),
});
export type LimitsTaken = z.infer<typeof limitsTaken>;
