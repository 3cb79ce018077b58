import { setTimeout as sleep } from 'node:timers/promises';
import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import {
  DroverError,
  maxMessageBytes,
  natsHeaders,
  parseValue,
  type Request,
  type RequestInput,
  request as requestSchema,
  subjectOfRequest,
} from '@drover/schemas';
import { JetStreamApiError } from '@nats-io/jetstream';
import { headers } from 'nats';
import { publishCancel } from './cancel.ts';
import { expire } from './expire.ts';
import { ReplyReader, type Submission } from './reader.ts';

export type SubmitOptions = {
  /** Aborting cancels the request; its reply then ends with `cancelled`. */
  readonly signal?: AbortSignal;
  /** W3C trace context to carry along. */
  readonly traceparent?: string;
  /** The writer in whose name an expired request is ended (the ingress); producers leave it out. */
  readonly expireAs?: string;
};

/** How long a publish that JetStream did not answer is repeated, in ms. */
const acceptWithinMs = 10_000;

/**
 * Publishes a request and follows its reply. Resolves when JetStream has stored the request: from then on it will have
 * an outcome.
 * @throws DroverError `invalid_request`, `request_too_large`, `queue_full` or `unavailable`; nothing was accepted then
 */
export async function submit(
  nats: Nats,
  input: RequestInput,
  options: SubmitOptions = {},
): Promise<Submission> {
  const parsed = parseValue(requestSchema, input);
  if (!parsed.ok) throw new DroverError('invalid_request', parsed.problem);
  const request = parsed.value;
  const data = JSON.stringify(request);
  // Characters are at least a byte each; only a message near the limit needs to be measured.
  if (data.length > maxMessageBytes || Buffer.byteLength(data) > maxMessageBytes - 4_096) {
    throw new DroverError(
      'request_too_large',
      `A request may have at most ${maxMessageBytes - 4_096} bytes.`,
    );
  }
  const { tenant, id, deadlineAtMs } = request;
  const { expireAs } = options;
  const reader = new ReplyReader(nats, {
    tenant,
    id,
    deadlineAtMs,
    ...(expireAs === undefined
      ? {}
      : { expire: (metered) => expire(nats, expireAs, tenant, id, { request, metered }) }),
  });
  let duplicate: boolean;
  try {
    duplicate = await accept(nats, request, data, options.traceparent);
  } catch (error) {
    reader.close();
    throw error;
  }
  if (duplicate) reader.mend();
  const cancel = () => publishCancel(nats, tenant, id);
  if (options.signal?.aborted) cancel();
  else cancelOnAbort(reader, cancel, options.signal);
  return {
    id,
    duplicate,
    events: reader.events,
    bodyHash: () => reader.bodyHash,
    cancel,
    close: () => reader.close(),
  };
}

/** Signals outlive requests: a listener stays only as long as there is something to cancel. */
function cancelOnAbort(reader: ReplyReader, cancel: () => void, signal: AbortSignal | undefined): void {
  if (signal === undefined || reader.closed) return;
  signal.addEventListener('abort', cancel, { once: true });
  reader.onClose = () => signal.removeEventListener('abort', cancel);
}

/** True when the id had been accepted before. */
async function accept(nats: Nats, request: Request, data: string, traceparent?: string): Promise<boolean> {
  const subject = subjectOfRequest(request);
  const giveUpAtMs = Math.min(Date.now() + acceptWithinMs, request.deadlineAtMs);
  const traced = headers();
  if (traceparent !== undefined) traced.set(natsHeaders.traceparent, traceparent);
  let unanswered = false;
  while (true) {
    try {
      const ack = await nats.js.publish(subject, data, {
        msgID: request.id,
        timeout: 2_000,
        ...(traceparent === undefined ? {} : { headers: traced }),
      });
      // After an unanswered publish the duplicate is most likely our own.
      return ack.duplicate && !unanswered;
    } catch (error) {
      if (isApiError(error, apiErrors.maximumMessages)) {
        if (String(error).includes('per subject')) return !unanswered;
        throw new DroverError('queue_full', 'Too many requests are waiting; try again later.', {
          cause: error,
          retryAfterSeconds: 5,
        });
      }
      if (error instanceof JetStreamApiError || Date.now() >= giveUpAtMs) {
        throw new DroverError('unavailable', 'The request could not be stored; it was not accepted.', {
          cause: error,
          retryAfterSeconds: 2,
        });
      }
      unanswered = true;
      await sleep(100 + Math.random() * 200);
    }
  }
}
