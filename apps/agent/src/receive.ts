import { requestIdOf } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import type { Workplace } from './context.ts';
import type { Acks } from './nats/acks.ts';
import { writeDeadLetter } from './nats/dead-letters.ts';
import { readJob } from './nats/jobs.ts';
import { runJob } from './run-job.ts';
import type { Settled } from './settle.ts';

/** A job that met a bug, or a JetStream that does not answer, is tried again after this long. */
const troubledDelayMs = 5_000;

/** Takes one message from the pull to its ack, nak or term. Resolves when the slot is free again. Never rejects. */
export async function receive(place: Workplace, acks: Acks, message: JsMsg): Promise<void> {
  try {
    if (message.info.deliveryCount > 1) place.metrics.redeliveries.inc();
    const job = readJob(message);
    if (!job.ok) {
      await bury(place, message, job.problem);
      return;
    }
    const settled = await runJob(place, message, job.value);
    place.metrics.jobs.inc({ outcome: settled.outcome });
    place.log.debug(
      { request: job.value.request.id, cluster: job.value.cluster, outcome: settled.outcome },
      'job settled',
    );
    carryOut(settled, acks, message);
  } catch (error) {
    place.metrics.jobs.inc({ outcome: 'troubled' });
    place.log.error(
      { subject: message.subject, error: error instanceof Error ? error.stack : String(error) },
      'job given back',
    );
    message.nak(troubledDelayMs);
  }
}

/** What does not parse will not parse next time either. */
async function bury(place: Workplace, message: JsMsg, problem: string): Promise<void> {
  const reason = 'invalid_request';
  await writeDeadLetter(place.nats, message, { reason, problem }, requestIdOf(message.subject));
  place.metrics.deadLetters.inc({ reason });
  place.log.error({ subject: message.subject, problem }, 'job does not parse');
  message.term(problem);
}

function carryOut(settled: Settled, acks: Acks, message: JsMsg): void {
  switch (settled.kind) {
    case 'ack':
      acks.ack(message);
      break;
    case 'nak':
      message.nak(settled.delayMs);
      break;
    case 'leave':
      break;
  }
}
