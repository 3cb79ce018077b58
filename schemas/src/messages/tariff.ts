import { z } from 'zod';

/** What one node of a cluster costs; KV bucket LLM_PRICES, key `<cluster>`. What is not known is absent. */
export const tariff = z.strictObject({
  v: z.literal(1),
  usdPerHour: z.number().min(0),
  market: z.enum(['spot', 'on-demand']),
  /** Control plane, load balancer, storage: a factor on the node's price. */
  overheadFactor: z.number().min(1).default(1),
  region: z.string().min(1).exactOptional(),
  instanceType: z.string().min(1).exactOptional(),
  /** Traffic out of the cluster, in USD per 10⁹ bytes. */
  egressUsdPerGb: z.number().min(0).exactOptional(),
  /** How often a running node is taken away, per hour. */
  preemptPerHour: z.number().min(0).exactOptional(),
  /** An external provider charges by token and has no nodes to pay for; in USD per 10⁶ tokens. */
  usdPerMillion: z.strictObject({ prompt: z.number().min(0), output: z.number().min(0) }).exactOptional(),
  /** Where the figure is from and when it was true. */
  source: z.string().min(1),
  asOf: z.iso.datetime(),
  /** How long after `asOf` the figure is to be trusted, in ms; absent: until it is replaced. */
  validForMs: z.number().positive().exactOptional(),
});
export type Tariff = z.infer<typeof tariff>;
