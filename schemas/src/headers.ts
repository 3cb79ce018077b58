/** NATS headers that Drover sets or reads. Everything that a decision depends on is in the message instead. */
export const natsHeaders = {
  /** W3C trace context, carried unchanged from the ingress to the agent and back. */
  traceparent: 'traceparent',
  /** Why a dead letter is dead: one of the failure codes or `max_deliver`. */
  reason: 'Drover-Reason',
  /** The subject that a dead letter was first published on. */
  subject: 'Drover-Subject',
  /** What exactly was wrong with a dead letter, without its content. */
  problem: 'Drover-Problem',
  /** How each attempt at a dead request ended: see attempts.ts. */
  attempts: 'Drover-Attempts',
  /** The request that this one repeats, on request of an operator. */
  retryOf: 'Drover-Retry-Of',
  /** The lease under which a message was written: see fenced writes. */
  fence: 'Drover-Fence',
  /** Who set a price or a policy, as the command line knew them. */
  by: 'Drover-By',
  /** Which scheduler made a decision. */
  scheduler: 'Drover-Scheduler',
} as const;

/** HTTP headers of the ingress: asked by the client, or answered. */
export const httpHeaders = {
  deadlineMs: 'x-drover-deadline-ms',
  priority: 'x-drover-priority',
  maxUsdPer1k: 'x-drover-max-usd-per-1k',
  regions: 'x-drover-regions',
  idempotencyKey: 'idempotency-key',
  requestId: 'x-request-id',
  cluster: 'x-drover-cluster',
  model: 'x-drover-model',
  attempts: 'x-drover-attempts',
  usdPer1k: 'x-drover-usd-per-1k',
  queueMs: 'x-drover-queue-ms',
  overheadMs: 'x-drover-overhead-ms',
} as const;
