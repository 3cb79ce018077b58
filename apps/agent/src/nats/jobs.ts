import { type Job, job, type Parsed, parseMessage, subjects } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';

/** Parses a job and checks that it is what its subject says. */
export function readJob(message: Pick<JsMsg, 'data' | 'subject'>): Parsed<Job> {
  const parsed = parseMessage(job, message.data);
  if (!parsed.ok) return parsed;
  const { cluster, request } = parsed.value;
  if (subjects.job(cluster, request.id) !== message.subject)
    return { ok: false, problem: 'cluster or request id differ from the subject' };
  return parsed;
}
