import { JetStreamApiError, type StoredMsg } from '@nats-io/jetstream';
import { headers, type Msg } from 'nats';
import { epochMs } from '../clock.ts';
import type { CoreMessage } from './hub.ts';
import type { Stored } from './stream.ts';

/** Where the client library meets the model: what production does not use is missing, and calling it throws. */
export const partOf = <T>(part: Partial<T>): T => part as T;

const encoder = new TextEncoder();
export const bytesOf = (data: unknown): Uint8Array =>
  data instanceof Uint8Array ? data : encoder.encode(typeof data === 'string' ? data : '');

export type Refusal = { readonly code: number; readonly description: string };

/** What JetStream answers when it refuses. */
export const refusal = ({ code, description }: Refusal): Error =>
  new JetStreamApiError({ code: 400, err_code: code, description });

export const msgOf = (message: CoreMessage): Msg =>
  partOf<Msg>({
    subject: message.subject,
    data: message.data,
    ...(message.headers ? { headers: message.headers } : {}),
  });

const noHeaders = headers();

export const storedMsgOf = (stored: Stored): StoredMsg =>
  partOf<StoredMsg>({
    subject: stored.subject,
    seq: stored.seq,
    data: stored.data,
    header: stored.headers ?? noHeaders,
    time: new Date(epochMs + stored.storedMs),
    json: () => JSON.parse(new TextDecoder().decode(stored.data)),
  });
