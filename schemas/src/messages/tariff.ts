import { z } from 'zod';

/** What one node of a cluster costs; KV bucket LLM_PRICES, key `<cluster>`. */
export const tariff = z.strictObject({
  v: z.literal(1),
  usdPerHour: z.number().min(0),
  market: z.enum(['spot', 'on-demand']),
  /** Control plane, load balancer, storage: a factor on the node's price. */
  overheadFactor: z.number().min(1).default(1),
  /** Where the figure is from and when it was true. */
  source: z.string().min(1),
  asOf: z.iso.datetime(),
});
export type Tariff = z.infer<typeof tariff>;
