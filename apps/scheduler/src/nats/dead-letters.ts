import type { Logger, Nats } from '@drover/runtime';
import {
  advisoryConsumer,
  natsHeaders,
  parseMessage,
  requestId,
  requestIdOf,
  streams,
  subjects,
  tenantId,
  tokenOf,
} from '@drover/schemas';
import { JetStreamApiError, type JsMsg, type StoredMsg } from '@nats-io/jetstream';
import { headers } from 'nats';
import { z } from 'zod';
import { deleteMessage, readLastEvent } from './jobs.ts';
import { commitOutcome } from './outcomes.ts';

/** Reasons of dead letters that the scheduler writes. */
export const deadLetterReasons = ['invalid_request', 'max_deliver'] as const;
export type DeadLetterReason = (typeof deadLetterReasons)[number];

export type DeadLetter = {
  readonly reason: DeadLetterReason;
  /** What is wrong with it, without its content. */
  readonly problem: string;
  readonly stream: string;
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
};

/** Keeps what nobody could process. Repeating it is harmless. @throws when JetStream does not store it */
export async function writeDeadLetter(nats: Nats, letter: DeadLetter): Promise<void> {
  const about = headers();
  about.set(natsHeaders.reason, letter.reason);
  about.set(natsHeaders.problem, letter.problem.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 1_000));
  about.set(natsHeaders.subject, letter.subject);
  await nats.js.publish(subjects.deadLetter(letter.reason, requestIdOf(letter.subject)), letter.data, {
    msgID: `${letter.stream}.${letter.seq}.${letter.reason}`,
    headers: about,
  });
}

const advisory = z.looseObject({ stream: z.string(), stream_seq: z.int().positive(), deliveries: z.int() });

/**
 * Takes away messages that were delivered too often: JetStream would keep them for ever, in no count. Each becomes a dead
 * letter, and its request ends, so that its reader hears of it. Several schedulers share the work.
 */
export async function startDeadLetterWorker(
  nats: Nats,
  onDeadLetter: (reason: DeadLetterReason) => void,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const { stream, name } = advisoryConsumer;
  const consumer = await nats.js.consumers.get(stream, name);
  const flow = await consumer.consume({ max_messages: 10, expires: 5_000, idle_heartbeat: 2_000 });
  const done = (async () => {
    for await (const message of flow) {
      try {
        if (await bury(nats, message)) onDeadLetter('max_deliver');
        message.ack();
      } catch (error) {
        log.warn({ error: String(error) }, 'dead letter not written, will be tried again');
        message.nak(1_000);
      }
    }
  })();
  return {
    stop: async () => {
      await flow.close();
      await done;
    },
  };
}

async function bury(nats: Nats, message: JsMsg): Promise<boolean> {
  const parsed = parseMessage(advisory, message.data);
  if (!parsed.ok) return false;
  const { stream, stream_seq: seq, deliveries } = parsed.value;
  const stored = await storedMessage(nats, stream, seq);
  if (!stored) return false;
  const { subject, data } = stored;
  const problem = `delivered ${deliveries} times`;
  await writeDeadLetter(nats, { reason: 'max_deliver', problem, stream, seq, subject, data });
  await endRequestOf(nats, stream, stored);
  await deleteMessage(nats, stream, seq);
  return true;
}

async function storedMessage(nats: Nats, stream: string, seq: number): Promise<StoredMsg | null> {
  try {
    return await nats.jsm.direct.getMessage(stream, { seq });
  } catch (error) {
    if (error instanceof JetStreamApiError) return null;
    throw error;
  }
}

/** Ends the request whose message died, unless something has ended it. */
async function endRequestOf(nats: Nats, stream: string, { subject, data }: StoredMsg): Promise<void> {
  const id = requestId.safeParse(requestIdOf(subject));
  const tenant = stream === streams.jobs.name ? tenantOfJob(data) : tokenOf(subject, 3);
  if (!id.success || tenant === undefined) return;
  const last = await readLastEvent(nats, tenant, id.data);
  if (last?.event.state === 'ended') return;
  await commitOutcome(nats, {
    tenant,
    id: id.data,
    attempt: last?.event.attempt ?? 0,
    eventSeq: last?.seq ?? 0,
    outcome: {
      status: 'failed',
      code: 'attempts_exhausted',
      message: 'The request was tried too often without an end.',
      units: 0,
    },
  });
}

/** Also of a job that does not parse as a whole. */
function tenantOfJob(data: Uint8Array): string | undefined {
  const parsed = parseMessage(jobTenant, data);
  return parsed.ok ? parsed.value.request.tenant : undefined;
}

const jobTenant = z.looseObject({ request: z.looseObject({ tenant: tenantId }) });
