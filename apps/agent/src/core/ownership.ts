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
 * Pure. Attempts count claims and assignments alike, so they do not tell which of two jobs counts: a scheduler that was cut off
 * makes the next one by what it knew, while the one before is claimed again and again. A job is superseded when what was made
 * of a later one says so; what was made of an earlier one is taken over, whatever it counts.
 * @param jobSeq sequence of the job in LLM_JOBS
 */
export function judge(job: Job, jobSeq: number, last: LastEvent | null): Verdict {
  if (last === null) return { kind: 'claim', attempt: job.attempt, expect: 0, prior: false };
  const { event, seq } = last;
  if (event.state === 'ended') return { kind: 'drop', why: 'ended' };
  if (event.job !== undefined && event.job > jobSeq) return { kind: 'drop', why: 'superseded' };
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
