import { type Event, type Job, maxAttempts } from '@drover/schemas';

/** The last event of a request, with the stream sequence that a compare-and-set expects, and who wrote it. */
export type LastEvent = { readonly seq: number; readonly writer: string; readonly event: Event };

/** What to do with a job that was pulled. */
export type Verdict =
  /** The request is settled or somebody else's: ack the job and forget it. */
  | { readonly kind: 'drop'; readonly why: 'ended' | 'superseded' }
  /** Too many owners have failed: end the request without running it. */
  | {
      readonly kind: 'exhausted';
      readonly attempt: number;
      readonly expect: number;
      readonly message: string;
    }
  /** Claim it. `prior`: an earlier owner may have said something. */
  | { readonly kind: 'claim'; readonly attempt: number; readonly expect: number; readonly prior: boolean };

/**
 * Pure. Attempts count claims and assignments alike. A job is superseded when *another* cluster's event already counts
 * higher; a higher count of this cluster's own is the same job, delivered again.
 */
export function judge(job: Job, last: LastEvent | null): Verdict {
  if (last === null) return { kind: 'claim', attempt: job.attempt, expect: 0, prior: false };
  const { event, seq } = last;
  if (event.state === 'ended') return { kind: 'drop', why: 'ended' };
  if (event.attempt > job.attempt && last.writer !== job.cluster) return { kind: 'drop', why: 'superseded' };
  // What a provider's limit sent back to this very cluster was no try.
  const isLimited = event.state === 'released' && event.reason === 'limited' && last.writer === job.cluster;
  const attempt = Math.max(job.attempt, event.attempt + (isLimited ? 0 : 1));
  if (attempt <= maxAttempts) return { kind: 'claim', attempt, expect: seq, prior: true };
  const reason = event.state === 'released' ? `: ${event.message}` : '';
  return {
    kind: 'exhausted',
    attempt,
    expect: seq,
    message: `given up after ${maxAttempts} attempts${reason}`,
  };
}
