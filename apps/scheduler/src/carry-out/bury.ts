import { requestId, requestIdOf, tenantId, tokenOf } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { writeDeadLetter } from '../nats/dead-letters.ts';
import { commitOutcome } from '../nats/outcomes.ts';
import type { Parts } from './parts.ts';

/** A dead letter that could not be written is tried again after this long. */
const retryMs = 1_000;

/** Keeps a message that does not parse aside with its reason, tells its reader, and never sees it again. */
export function bury(parts: Parts, message: JsMsg, problem: string): void {
  const { nats, log, metrics, underway } = parts;
  const { subject, data, seq, info } = message;
  log.warn({ subject, problem }, 'invalid request');
  underway.run(async () => {
    try {
      const { stream } = info;
      await writeDeadLetter(nats, { reason: 'invalid_request', problem, stream, seq, subject, data });
      await tellReader(parts, subject, problem);
      metrics.deadLetters.inc({ reason: 'invalid_request' });
      message.term('invalid_request');
    } catch (error) {
      log.warn({ subject, error: String(error) }, 'dead letter not written, will be tried again');
      message.nak(retryMs);
    }
  });
}

/** Whoever sent it follows the subject that it was sent on, whatever the message says. */
async function tellReader({ nats }: Parts, subject: string, problem: string): Promise<void> {
  const tenant = tenantId.safeParse(tokenOf(subject, 3));
  const id = requestId.safeParse(requestIdOf(subject));
  if (!tenant.success || !id.success) return;
  await commitOutcome(nats, {
    tenant: tenant.data,
    id: id.data,
    attempt: 0,
    eventSeq: 0,
    outcome: { status: 'failed', code: 'invalid_request', message: problem, units: 0 },
  });
}
