import { jobConsumer } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import type { Attempt } from './attempt.ts';
import type { Workplace } from './context.ts';

const workingEveryMs = 5_000;
/** A reply may pause for this many of its usual gaps. */
const stallGaps = 20;
/** `setTimeout` fires at once for longer times. */
const timeoutMaxMs = 2 ** 31 - 1;

/**
 * Watches an attempt from its side, until disposed: keeps the job from being delivered to another, stops it at its
 * deadline, when the backend stalls, and when this process slept so long that another may have taken over.
 */
export function superviseAttempt(place: Workplace, attempt: Attempt, message: JsMsg): Disposable {
  const { ackWaitMs } = jobConsumer(attempt.job.cluster);
  const stallMs = place.config.STALL_MS;
  let workingMs = performance.now();
  const tick = () => {
    const nowMs = performance.now();
    if (isStalled(attempt, stallMs, nowMs)) attempt.stop('stalled');
    if (nowMs - workingMs < workingEveryMs) return;
    message.working();
    if (nowMs - workingMs > ackWaitMs) void stopUnlessOwner(attempt);
    workingMs = nowMs;
  };
  const ticker = setInterval(tick, Math.min(1_000, stallMs / 4));
  const leftMs = Math.max(0, attempt.job.request.deadlineAtMs - Date.now());
  const deadline = setTimeout(() => attempt.stop('deadline'), Math.min(leftMs, timeoutMaxMs));
  return {
    [Symbol.dispose]: () => {
      clearInterval(ticker);
      clearTimeout(deadline);
    },
  };
}

/** Before the first unit a long prompt is no stall; a backend that died then is seen by its health. */
function isStalled(attempt: Attempt, stallMs: number, nowMs: number): boolean {
  if (attempt.lastMs === undefined || attempt.settling || attempt.mode === 'body') return false;
  return nowMs - attempt.lastMs > Math.max(stallMs, stallGaps * attempt.meanGapMs);
}

/** Stops the attempt if somebody else has claimed the request. Not being able to find out changes nothing. */
export async function stopUnlessOwner(attempt: Attempt): Promise<void> {
  if (attempt.fence === undefined || attempt.settling) return;
  try {
    const owner = await attempt.events.isOwner(attempt.fence);
    if (!owner && !attempt.settling) attempt.stop('superseded');
  } catch {
    // The commit will tell.
  }
}
