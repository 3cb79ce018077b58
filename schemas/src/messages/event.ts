import { z } from 'zod';
import { agentId, priority } from '../names.ts';
import { outcome } from './outcome.ts';
import { portion } from './portion.ts';

/**
 * Sequence in LLM_JOBS of the job that this attempt was made of. Of two jobs of one request the later one counts, however
 * often the earlier one was claimed. Absent: not known.
 */
const jobSeq = z.int().min(1).exactOptional();

/**
 * What became of a request; `llm.evt.<writer>.<tenant>.<request>`, each published with compare-and-set on the last
 * sequence of `llm.evt.*.<tenant>.<request>`. States and transitions:
 *
 *     (none) ──► running ──► ended            running: an agent owns the attempt; its sequence is the fence
 *        │        │   ▲                       released: the owner gave it back; anyone may run it again
 *        │        ▼   │                       ended: the outcome; nothing follows
 *        │      released ──► ended
 *        └──────────────────► ended           (rejected, expired or cancelled before it ran)
 *
 * `running` may follow `running`: the earlier owner died or was cut off, and is fenced from then on.
 */
export const event = z.discriminatedUnion('state', [
  z.strictObject({
    v: z.literal(1),
    state: z.literal('running'),
    agent: agentId,
    attempt: z.int().min(1),
    atMs: z.number(),
    job: jobSeq,
    bodyHash: z.string().optional(),
  }),
  z.strictObject({
    v: z.literal(1),
    state: z.literal('released'),
    agent: agentId,
    attempt: z.int().min(1),
    atMs: z.number(),
    job: jobSeq,
    /**
     * `draining`, `backend-down` and `limited` (a provider takes no more now) blame nobody; `backend-failed` counts against
     * the cluster's breaker.
     */
    reason: z.enum(['draining', 'backend-down', 'backend-failed', 'limited']),
    message: z.string(),
    bodyHash: z.string().optional(),
    /** Who had said which tokens by then: whoever ends the request needs no replies to know. */
    metered: z.array(portion).optional(),
  }),
  z.strictObject({
    v: z.literal(1),
    state: z.literal('ended'),
    attempt: z.int().min(0),
    atMs: z.number(),
    outcome,
    bodyHash: z.string().optional(),
    /** On whose account it ran: id of the API key, name of the model, band. Absent when the writer does not know. */
    key: z.string().optional(),
    model: z.string().optional(),
    priority: priority.optional(),
    /** Who said which tokens. Absent: the writer does not know; empty: nobody said anything. */
    metered: z.array(portion).optional(),
    /** From the receipt of the job to its first token, in ms; absent where another attempt said the first one. */
    ttftMs: z.number().min(0).exactOptional(),
  }),
]);
export type Event = z.infer<typeof event>;
