import { z } from 'zod';
import { policy } from './policy.ts';

/** The name of an experiment or of one of its policies: short, and safe as a label. */
const label = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'small letters, digits and dashes, at most 40');

/** More policies than this would share the time so thinly that nothing could be told of any. */
const policiesMax = 4;

/**
 * What is tried on live traffic; KV bucket LLM_POLICY, key `experiment`. Policies stand in it as a whole, so that it means
 * the same whatever else is changed meanwhile. Deleting the key ends the experiment. Unknown keys are refused.
 */
export const experiment = z
  .strictObject({
    v: z.literal(1),
    name: label,
    /**
     * The policies take turns in windows of time, all schedulers together. Requests share slots, queues and caches, so a
     * split by request would compare policies that disturb each other.
     */
    switchback: z
      .strictObject({
        policies: z.record(label, policy).refine((all) => {
          const count = Object.keys(all).length;
          return count >= 2 && count <= policiesMax;
        }, `2 to ${policiesMax} policies`),
        /** The order of turns follows from it and the name. */
        seed: z.int(),
        /** The first window begins here; before it the active policy is in force … */
        startsAt: z.iso.datetime(),
        /** … and from here on again; absent: until the experiment is deleted. */
        endsAt: z.iso.datetime().exactOptional(),
        windowMs: z.number().min(1_000).default(600_000),
        /** What the previous policy left behind is still there: decisions this early in a window are not counted. */
        burnInMs: z.number().min(0).default(120_000),
      })
      .refine(({ windowMs, burnInMs }) => burnInMs < windowMs, {
        path: ['burnInMs'],
        message: 'nothing of a window would be left',
      })
      .refine(({ startsAt, endsAt }) => endsAt === undefined || Date.parse(endsAt) > Date.parse(startsAt), {
        path: ['endsAt'],
        message: 'not after startsAt',
      })
      .exactOptional(),
    /** A policy that is asked about recorded decisions and obeyed in none. */
    shadow: z
      .strictObject({
        name: label,
        policy,
        /** The share of requests that it is asked about. */
        share: z.number().positive().max(1).default(1),
      })
      .exactOptional(),
  })
  .refine(({ switchback, shadow }) => switchback !== undefined || shadow !== undefined, 'nothing is tried');
export type Experiment = z.infer<typeof experiment>;
export type ExperimentInput = z.input<typeof experiment>;
export type Switchback = NonNullable<Experiment['switchback']>;
