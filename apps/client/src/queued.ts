import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import { type RequestId, subjects, type TenantId } from '@drover/schemas';

/** A sequence that no message will ever have. */
const never = Number.MAX_SAFE_INTEGER;

/**
 * Whether a request waits in LLM_REQUESTS. Asked with a publish that cannot succeed: its refusal names the last sequence
 * on the subject, and 0 when there is none. So nobody needs the right to read requests, which is more than it seems: see
 * `permissions.producer`.
 * @throws when JetStream does not answer
 */
export async function isQueued(nats: Nats, tenant: TenantId, id: RequestId): Promise<boolean> {
  try {
    await nats.js.publish(subjects.request('standard', tenant, id), '', {
      expect: { lastSubjectSequence: never, lastSubjectSequenceSubject: subjects.request('*', tenant, id) },
    });
  } catch (error) {
    if (!isApiError(error, apiErrors.wrongLastSequence)) throw error;
    return !/: 0$/.test(String(error));
  }
  throw new Error('a publish succeeded that expects the impossible');
}
