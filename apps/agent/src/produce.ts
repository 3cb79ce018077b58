import type { Event, Outcome } from '@drover/schemas';
import type { Attempt, StopReason } from './attempt.ts';
import type { Workplace } from './context.ts';
import type { Call } from './core/call.ts';
import type { Timings } from './core/finish.ts';
import { BackendError } from './llama/backend-error.ts';

/** How an attempt went: the request is over, or somebody else shall go on, or somebody else already does. */
export type Ending =
  | { readonly kind: 'ended'; readonly outcome: Outcome }
  | { readonly kind: 'released'; readonly reason: ReleaseReason; readonly message: string }
  | { readonly kind: 'lost' };

export type ReleaseReason = Extract<Event, { state: 'released' }>['reason'];

/** Lets the backend answer, says what it says, and measures it. @throws only on a bug */
export async function produce(place: Workplace, attempt: Attempt, call: Call): Promise<Ending> {
  if (Date.now() >= attempt.job.request.deadlineAtMs) attempt.stop('deadline');
  const prior = [...attempt.writer.units];
  const metered = place.meter.begin(call);
  let timings: Timings | undefined;
  try {
    attempt.signal.throwIfAborted();
    const finished = await place.engine.generate(
      {
        call,
        prior,
        contextTokens: place.backend.model.contextTokens,
        signal: attempt.signal,
        onCounted: (counted) => {
          attempt.counted = counted;
        },
        onUnits: (units, promptTokens) => {
          // Before the opening, which says it.
          if (promptTokens !== undefined) attempt.promptTokens ??= Math.max(0, promptTokens - prior.length);
          const ttftMs = heard(place, attempt, units.length);
          metered.said(units.length, ttftMs);
          attempt.writer.push(units, attempt.counted?.usage);
        },
      },
      attempt.job,
    );
    timings = finished.timings;
    open(place, attempt);
    const { finish, usage } = finished;
    const units = attempt.writer.units.length;
    return { kind: 'ended', outcome: { status: 'done', finish, units, ...(usage ? { usage } : {}) } };
  } catch (error) {
    return endingOf(place, attempt, error);
  } finally {
    metered.over(timings);
  }
}

/** Notes that the backend said something. Returns the time to first token, the first time. */
function heard(place: Workplace, attempt: Attempt, units: number): number | undefined {
  const nowMs = performance.now();
  place.watch.sawToken();
  const gapMs = attempt.lastMs === undefined ? undefined : (nowMs - attempt.lastMs) / units;
  attempt.lastMs = nowMs;
  if (gapMs !== undefined) {
    for (let unit = 0; unit < units; unit++) place.metrics.interToken.observe(gapMs / 1_000);
    return undefined;
  }
  attempt.firstMs = nowMs;
  open(place, attempt);
  const ttftMs = nowMs - attempt.receivedMs;
  if (attempt.mode !== 'body') place.metrics.ttft.observe(ttftMs / 1_000);
  return ttftMs;
}

function open({ backend }: Workplace, { job, opened, writer, receivedMs }: Attempt): void {
  writer.open({
    ...opened,
    model: backend.model.name,
    modelHash: backend.model.hash,
    queueMs: job.queueMs,
    backendMs: performance.now() - receivedMs,
    ...(job.request.bodyHash === undefined ? {} : { bodyHash: job.request.bodyHash }),
  });
}

async function endingOf(place: Workplace, attempt: Attempt, error: unknown): Promise<Ending> {
  if (attempt.stopped) return stoppedEnding(attempt, attempt.stopped, place.engine.name);
  if (!(error instanceof BackendError)) throw error;
  const { refusal } = error;
  if (refusal.kind === 'refused') {
    return { kind: 'ended', outcome: { status: 'failed', ...soFar(attempt), ...pick(refusal) } };
  }
  if (refusal.kind === 'limited') {
    // Otherwise the next request would come here too: the job is back before a report at the usual pace.
    place.reportNow();
    return { kind: 'released', reason: 'limited', message: refusal.message };
  }
  // Ask at once whether it is gone, before this slot takes the next job.
  await place.watch.check();
  const reason = refusal.kind === 'down' ? 'backend-down' : 'backend-failed';
  return { kind: 'released', reason, message: refusal.message };
}

const pick = ({ code, message }: Extract<BackendError['refusal'], { kind: 'refused' }>) => ({
  code,
  message,
});

function stoppedEnding(attempt: Attempt, reason: StopReason, name: string): Ending {
  switch (reason) {
    case 'cancelled':
      return { kind: 'ended', outcome: { status: 'cancelled', ...soFar(attempt) } };
    case 'deadline':
      return {
        kind: 'ended',
        outcome: {
          status: 'failed',
          code: 'deadline_exceeded',
          message: 'the deadline passed before the answer was complete',
          ...soFar(attempt),
        },
      };
    case 'drain':
      return { kind: 'released', reason: 'draining', message: 'the agent is stopping' };
    case 'stalled':
      return { kind: 'released', reason: 'backend-failed', message: `${name} stopped in mid-answer` };
    case 'superseded':
      return { kind: 'lost' };
  }
}

/** What the client has, and what it cost. */
export const soFar = ({ writer, usage }: Attempt): { units: number; usage?: Outcome['usage'] } => ({
  units: writer.units.length,
  ...(usage ? { usage } : {}),
});
