import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import { type Job, natsHeaders, subjects } from '@drover/schemas';
import { headers } from 'nats';

/**
 * - `stored`: the job is there, by this very publish;
 * - `exists`: the request already had a job that we did not know: another scheduler's, or one of an earlier try;
 * - `failed`: JetStream did not answer. It may be stored nonetheless; the next try will then find out.
 */
export type Assigned = 'stored' | 'exists' | { readonly failed: Error };

/**
 * Publishes a job. The guard makes it the only one of its request: nothing may be on `llm.job.*.<id>` but the job that it
 * replaces, whose sequence is `previousSeq` (0: none).
 */
export async function publishJob(
  nats: Nats,
  job: Job,
  previousSeq: number,
  traceparent: string | undefined,
): Promise<Assigned> {
  const { id } = job.request;
  try {
    const ack = await nats.js.publish(subjects.job(job.cluster, id), JSON.stringify(job), {
      msgID: `${id}.${job.attempt}`,
      expect: { lastSubjectSequence: previousSeq, lastSubjectSequenceSubject: subjects.job('*', id) },
      ...(traceparent === undefined ? {} : { headers: tracing(traceparent) }),
    });
    return ack.duplicate ? 'exists' : 'stored';
  } catch (error) {
    if (isApiError(error, apiErrors.wrongLastSequence)) return 'exists';
    return { failed: error instanceof Error ? error : new Error(String(error)) };
  }
}

function tracing(traceparent: string) {
  const carried = headers();
  carried.set(natsHeaders.traceparent, traceparent);
  return carried;
}
