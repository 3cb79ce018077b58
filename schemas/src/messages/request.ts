import { z } from 'zod';
import { priority, requestId, tenantId } from '../names.ts';
import { regions } from '../regions.ts';
import { chatBody, completionBody, embeddingBody } from './openai.ts';

const envelope = {
  v: z.literal(1),
  id: requestId,
  tenant: tenantId,
  priority: priority.default('standard'),
  /** Wall clock of the producer, for people and for the queue's order; no decision compares it with another clock. */
  submittedAtMs: z.number(),
  /** Wall clock after which the answer is of no use. The request then ends with `deadline_exceeded`. */
  deadlineAtMs: z.number(),
  /** The dearest cluster that may answer, by nominal $/1K output tokens. */
  maxUsdPer1k: z.number().positive().optional(),
  /** Where it may be answered, and nowhere else: names of regions, or beginnings of them such as `eu-`. Absent: anywhere. */
  regions: regions.optional(),
  /** Id of the API key that is charged; set by the ingress. */
  key: z.string().min(1).max(64).optional(),
  /** Hash of the body as the client sent it, where a repeated submission must be told from another request. */
  bodyHash: z.string().max(64).optional(),
};

/** What a client asked for; enters on `llm.req.<priority>.<tenant>.<request>`. */
export const request = z.discriminatedUnion('endpoint', [
  z.strictObject({ ...envelope, endpoint: z.literal('chat'), body: chatBody }),
  z.strictObject({ ...envelope, endpoint: z.literal('completion'), body: completionBody }),
  z.strictObject({ ...envelope, endpoint: z.literal('embedding'), body: embeddingBody }),
]);
export type Request = z.infer<typeof request>;
export type RequestInput = z.input<typeof request>;
