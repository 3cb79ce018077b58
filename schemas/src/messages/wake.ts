import { z } from 'zod';
import { clusterId } from '../names.ts';

/**
 * A node that is wanted; `llm.wake.<cluster>.<node>`, nodes counted from 1. An autoscaler keeps as many nodes as there are
 * messages. The scheduler that has the duty renews them; they are gone by themselves `wakeTtlMs` after the last renewal.
 */
export const wake = z.strictObject({
  v: z.literal(1),
  cluster: clusterId,
  node: z.int().min(1),
  /** When it was first wanted, in ms by the clock of who wanted it. */
  sinceMs: z.number(),
});
export type Wake = z.infer<typeof wake>;

/** Long enough for another scheduler to take the duty over, so that no node is let go because one died. */
export const wakeTtlMs = 60_000;
