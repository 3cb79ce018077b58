import { EventLog, type Logger, type Nats } from '@drover/runtime';
import {
  type AttemptRecord,
  advisoryConsumer,
  attemptsHeader,
  attemptsOf,
  job,
  natsHeaders,
  parseMessage,
  type Request,
  type RequestId,
  requestId,
  requestIdOf,
  request as requestSchema,
  streams,
  subjects,
  tenantId,
  tokenOf,
} from '@drover/schemas';
import { JetStreamApiError, type JsMsg, type StoredMsg } from '@nats-io/jetstream';
import { headers } from 'nats';
import { z } from 'zod';
import { deleteMessage } from './jobs.ts';
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
  /** How every attempt ended; none for what was never tried. */
  readonly attempts?: readonly AttemptRecord[];
};

/** Keeps what nobody could process. Repeating it is harmless. @throws when JetStream does not store it */
export async function writeDeadLetter(nats: Nats, letter: DeadLetter): Promise<void> {
  const about = headers();
  about.set(natsHeaders.reason, letter.reason);
  about.set(natsHeaders.problem, letter.problem.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 1_000));
  about.set(natsHeaders.subject, letter.subject);
  if (letter.attempts?.length) about.set(natsHeaders.attempts, attemptsHeader(letter.attempts));
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
  let stopping = false;
  const done = (async () => {
    for await (const message of flow) {
      // Closing a flow still yields what it has fetched; another scheduler takes that at once.
      if (stopping) {
        message.nak();
        continue;
      }
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
      stopping = true;
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
  const request = requestOf(stream, stored);
  const attempts = request ? attemptsOf(await new EventLog(nats, request.tenant, request.id).all()) : [];
  await writeDeadLetter(nats, { reason: 'max_deliver', problem, stream, seq, subject, data, attempts });
  if (request) await endRequest(nats, request, requestIn(stream, data));
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

type RequestKey = { readonly tenant: string; readonly id: RequestId };

/** Whose message died; undefined when it does not tell. */
function requestOf(stream: string, { subject, data }: StoredMsg): RequestKey | undefined {
  const id = requestId.safeParse(requestIdOf(subject));
  const tenant = stream === streams.jobs.name ? tenantOfJob(data) : tokenOf(subject, 3);
  return id.success && tenant !== undefined ? { tenant, id: id.data } : undefined;
}

/** Ends the request whose message died, unless something has ended it. */
async function endRequest(
  nats: Nats,
  { tenant, id }: RequestKey,
  request: Request | undefined,
): Promise<void> {
  const last = await new EventLog(nats, tenant, id).last();
  if (last?.event.state === 'ended') return;
  await commitOutcome(nats, {
    tenant,
    id,
    attempt: last?.event.attempt ?? 0,
    eventSeq: last?.seq ?? 0,
    outcome: {
      status: 'failed',
      code: 'attempts_exhausted',
      message: 'The request was tried too often without an end.',
      units: 0,
    },
    request,
  });
}

function requestIn(stream: string, data: Uint8Array): Request | undefined {
  if (stream === streams.jobs.name) {
    const parsed = parseMessage(job, data);
    return parsed.ok ? parsed.value.request : undefined;
  }
  const parsed = parseMessage(requestSchema, data);
  return parsed.ok ? parsed.value : undefined;
}

/** Also of a job that does not parse as a whole. */
function tenantOfJob(data: Uint8Array): string | undefined {
  const parsed = parseMessage(jobTenant, data);
  return parsed.ok ? parsed.value.request.tenant : undefined;
}

const jobTenant = z.looseObject({ request: z.looseObject({ tenant: tenantId }) });
