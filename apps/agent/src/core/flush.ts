export type FlushPolicy = {
  /** Whether the first units go out alone, without waiting for company. */
  readonly firstAtOnce: boolean;
  /** The least time between two messages, in ms, unless … */
  readonly everyMs: number;
  /** … this many units are waiting. */
  readonly units: number;
};

/** A reader that wants a stream: the first token at once, then few messages without a visible delay. */
export const liveFlush = (everyMs: number): FlushPolicy => ({ firstAtOnce: true, everyMs, units: 8 });

/** Nobody looks before the end; published only so that another agent could continue. */
export const quietFlush: FlushPolicy = { firstAtOnce: false, everyMs: 250, units: Number.POSITIVE_INFINITY };

/**
 * Pure. How long the pending units may still wait, in ms; 0 is now.
 * @param lastMs when the last message went out, or (before the first) when the reply was opened
 */
export function flushDelayMs(
  policy: FlushPolicy,
  state: { readonly said: boolean; readonly lastMs: number; readonly pending: number },
  nowMs: number,
): number {
  if (!state.said && policy.firstAtOnce) return 0;
  if (state.pending >= policy.units) return 0;
  return Math.max(0, state.lastMs + policy.everyMs - nowMs);
}
