import { apiErrors, isApiError, isCopied, type Logger, type Nats } from '@drover/runtime';
import {
  event,
  type LedgerRecord,
  parseMessage,
  requestId,
  settlerConsumer,
  subjects,
  tenantId,
  tokenOf,
} from '@drover/schemas';
import type { JetStreamClient, JsMsg } from '@nats-io/jetstream';
import { type Ended, settle } from '../core/settle.ts';

/** How many events are settled at once; their order does not matter. */
const inFlightMax = 500;
/** How long a pull stands: bounds how long a restart of the server keeps the ledger waiting. */
const pullMs = 2_000;
/** An event that could not be settled comes again after this long. */
const retryMs = 1_000;

export type Settlement = {
  /** A record was written. Not called when it was there already. */
  readonly onSettled: (record: LedgerRecord) => void;
  /** JetStream did not take it; it will be tried again. */
  readonly onTrouble: (error: unknown) => void;
};

/**
 * Writes what each request cost to the ledger, once it has ended. All schedulers share the work. Whoever dies between any
 * two steps leaves the event unacknowledged: it is delivered again, and the record is either there or written then.
 * @throws when the consumer does not exist (bootstrap has not run)
 */
export async function startSettler(
  nats: Nats,
  settlement: Settlement,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const { stream, name } = settlerConsumer;
  const consumer = await nats.js.consumers.get(stream, name);
  const open = new Set<Promise<void>>();
  const flow = await consumer.consume({
    max_messages: inFlightMax,
    expires: pullMs,
    idle_heartbeat: pullMs / 2,
    callback: (message) => {
      const settling: Promise<void> = settleMessage(nats.js, message, settlement).finally(() =>
        open.delete(settling),
      );
      open.add(settling);
    },
  });
  void flow.closed().then((error) => {
    // A flow that ended on its own would leave every later request unsettled.
    if (error instanceof Error) throw error;
  });
  log.debug({ stream, name }, 'settling');
  return {
    stop: async () => {
      await flow.close();
      await Promise.all(open);
    },
  };
}

/** Settles one event, and acknowledges it once its record is stored. Never rejects. */
export async function settleMessage(
  js: Pick<JetStreamClient, 'publish'>,
  message: Pick<JsMsg, 'subject' | 'data' | 'headers' | 'time' | 'ack' | 'nak'>,
  { onSettled, onTrouble }: Settlement,
): Promise<void> {
  try {
    const ended = endedIn(message);
    if (ended !== undefined) {
      const record = settle(ended);
      if (await store(js, record)) onSettled(record);
    }
    message.ack();
  } catch (error) {
    onTrouble(error);
    message.nak(retryMs);
  }
}

/** In every event that says so, and in hardly any other message: spares reading the rest, which is half of all. */
const endedMark = '"ended"';

/** The end of a request; undefined for every other event, and for what is no event at all. */
function endedIn({
  subject,
  data,
  headers,
  time,
}: Pick<JsMsg, 'subject' | 'data' | 'headers' | 'time'>): Ended | undefined {
  // Somebody made the server store another request's end here: nobody owes anything for it.
  if (isCopied(headers)) return undefined;
  if (!Buffer.from(data.buffer, data.byteOffset, data.length).includes(endedMark)) return undefined;
  const parsed = parseMessage(event, data);
  const tenant = tenantId.safeParse(tokenOf(subject, 3));
  const id = requestId.safeParse(tokenOf(subject, 4));
  if (!parsed.ok || parsed.value.state !== 'ended' || !tenant.success || !id.success) return undefined;
  return { tenant: tenant.data, id: id.data, event: parsed.value, storedAtMs: time.getTime() };
}

/** False when the request has its record already. @throws when JetStream does not answer */
async function store(js: Pick<JetStreamClient, 'publish'>, record: LedgerRecord): Promise<boolean> {
  const { tenant, request } = record;
  try {
    await js.publish(subjects.ledger(tenant, request), JSON.stringify(record), {
      expect: {
        lastSubjectSequence: 0,
        lastSubjectSequenceSubject: subjects.ledger(tenant, request),
      },
    });
    return true;
  } catch (error) {
    if (isApiError(error, apiErrors.wrongLastSequence)) return false;
    throw error;
  }
}
