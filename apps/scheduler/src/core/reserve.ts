import type { Policy } from '@drover/schemas';
import type { Waiting } from './types.ts';

/**
 * True when the slots that are free are kept for interactive requests, and this one can wait a little longer: a slot that a
 * batch request takes is gone for as long as its answer takes, while it could have started a minute later just as well.
 */
export function isHeldBack(
  { request, arrivedAtMs }: Waiting,
  slots: number,
  free: number,
  reserve: Policy['reserve'],
  nowMs: number,
): boolean {
  if (free > Math.floor(slots * reserve.share)) return false;
  const waitedMs = nowMs - arrivedAtMs;
  switch (request.priority) {
    case 'interactive':
      return false;
    case 'standard':
      return waitedMs < reserve.standardWaitMs;
    case 'batch':
      return waitedMs < reserve.batchWaitMs;
    default:
      return request.priority satisfies never;
  }
}
