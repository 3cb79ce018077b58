import { connectNats, createLogger, type Logger, type Nats } from '@drover/runtime';
import {
  type ChatBody,
  type CompletionBody,
  DroverError,
  type Priority,
  parseValue,
  permissions,
  type Request,
  requestId,
  request as requestSchema,
  type TenantId,
  tenantId,
} from '@drover/schemas';
import { nuid } from 'nats';
import { type Answer, Reading } from './answer.ts';
import { follow } from './follow.ts';
import type { Submission } from './reader.ts';
import { submit } from './submit.ts';

export type ProducerOptions = {
  /** `nats://host:port`, several with commas between them. */
  readonly url: string;
  /** Whose requests these are; the key must belong to it. */
  readonly tenant: string;
  /** File with the seed of the producer's nkey. Without it the server must let anybody in. */
  readonly nkeyFile?: string;
  /** Files for TLS: the certificate authority, and an own certificate with its key. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** JetStream domain of the hub, for a producer behind a leaf node. */
  readonly domain?: string;
  /** Default: the prefix that the tenant's user may subscribe. */
  readonly inboxPrefix?: string;
  /** The model of requests that name none. */
  readonly model?: string;
  /** Default: silent. Prompts and answers are never logged. */
  readonly log?: Logger;
};

export type AskOptions = {
  readonly model?: string;
  /** Default `standard`. */
  readonly priority?: Priority;
  /** From now until the answer is of no use, in ms; the request then ends with `deadline_exceeded`. Default 60 s. */
  readonly deadlineMs?: number;
  /** Aborting cancels the request and ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal;
  /** The dearest cluster that may answer, by nominal $/1K output tokens. */
  readonly maxUsdPer1k?: number;
  /** Where it may be answered, and nowhere else: names of regions, or beginnings of them such as `eu-`. */
  readonly regions?: readonly string[];
  /** An id of your own: submitted again, it joins the first submission. Default: a random one. */
  readonly id?: string;
  /** W3C trace context to carry along. */
  readonly traceparent?: string;
};

/** A whole OpenAI body of a chat or a completion; `stream` is always set. */
export type AskBody = { readonly model?: string; readonly [field: string]: unknown } & (
  | { readonly messages: ChatBody['messages'] }
  | { readonly prompt: CompletionBody['prompt'] }
);

/** A text (one user message), the messages of a chat, or a whole body. */
export type Ask = string | ChatBody['messages'] | AskBody;

export type AttachOptions = {
  /** The first unit wanted; default 0, the whole answer. */
  readonly from?: number;
  /** Aborting stops the reading; the request goes on. */
  readonly signal?: AbortSignal;
  /** When to give up reading, from now, in ms. Default: never; the request has a deadline of its own. */
  readonly deadlineMs?: number;
};

const deadlineDefaultMs = 60_000;

/**
 * Connects to NATS as a producer of one tenant. The first connection must succeed; later the client reconnects for ever.
 * @throws DroverError `invalid_request` for a tenant that is no name, `unavailable` when the server is not reached or
 * does not take the key (`cause` says which)
 */
export async function connectProducer(options: ProducerOptions): Promise<Producer> {
  const tenant = tenantId.safeParse(options.tenant);
  if (!tenant.success) throw notAName('tenant', tenant.error);
  try {
    return new Producer(await connect(options), tenant.data, options.model);
  } catch (error) {
    throw new DroverError('unavailable', `NATS at ${options.url} cannot be used.`, { cause: error });
  }
}

const connect = ({ url, tenant, log, ...options }: ProducerOptions): Promise<Nats> =>
  connectNats(
    `producer-${tenant}`,
    {
      NATS_URL: url,
      NATS_INBOX_PREFIX: options.inboxPrefix ?? permissions.producer(tenant).inboxPrefix,
      LOG_LEVEL: 'info',
      ...(options.nkeyFile === undefined ? {} : { NATS_NKEY_FILE: options.nkeyFile }),
      ...(options.caFile === undefined ? {} : { NATS_CA_FILE: options.caFile }),
      ...(options.certFile === undefined ? {} : { NATS_CERT_FILE: options.certFile }),
      ...(options.keyFile === undefined ? {} : { NATS_KEY_FILE: options.keyFile }),
      ...(options.domain === undefined ? {} : { NATS_DOMAIN: options.domain }),
    },
    log ?? createLogger('producer', 'silent'),
    { waitOnFirstConnect: false },
  );

/** Submits prompts of one tenant on NATS and reads the answers. Closed with `await using` or `close()`. */
export class Producer implements AsyncDisposable {
  readonly #nats: Nats;
  readonly #tenant: TenantId;
  readonly #model: string | undefined;
  readonly #answers = new Set<Answer>();

  constructor(nats: Nats, tenant: TenantId, model: string | undefined) {
    this.#nats = nats;
    this.#tenant = tenant;
    this.#model = model;
  }

  /**
   * Submits a request; the answer's iteration yields its text as it comes. A loop that is left early cancels the
   * request. Every failure, one of submitting too, is thrown by the iteration, as a DroverError with its stable code.
   */
  submit(ask: Ask, options: AskOptions = {}): Answer {
    const id = options.id ?? `req_${nuid.next()}`;
    return this.#reading(id, { from: 0, cancelOnLeave: true, signal: options.signal }, () => {
      const { traceparent } = options;
      const request = this.#request(id, ask, options);
      return submit(this.#nats, request, traceparent === undefined ? {} : { traceparent });
    });
  }

  /**
   * Reads the answer to an earlier request of this tenant, whoever submitted it, from the start or from a unit.
   * Leaving the loop leaves the request alone. An id that nobody knows ends with `not_found`.
   */
  attach(id: string, { from = 0, signal, deadlineMs }: AttachOptions = {}): Answer {
    return this.#reading(id, { from, cancelOnLeave: false, signal }, async () => {
      const known = requestId.safeParse(id);
      if (!known.success) throw notAName('id', known.error);
      const deadline = deadlineMs === undefined ? {} : { deadlineAtMs: Date.now() + deadlineMs };
      return follow(this.#nats, { tenant: this.#tenant, id: known.data, from, ...deadline });
    });
  }

  /** Stops all reading, without cancelling anything, and closes the connection. */
  async close(): Promise<void> {
    for (const answer of this.#answers) answer.close();
    // Drained, not closed: a cancel may still be on its way out.
    if (!this.#nats.nc.isClosed()) await this.#nats.nc.drain();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #reading(
    id: string,
    options: { from: number; cancelOnLeave: boolean; signal: AbortSignal | undefined },
    start: () => Promise<Submission>,
  ): Answer {
    const answer = new Reading({ ...options, id }, start);
    const forget = () => void this.#answers.delete(answer);
    this.#answers.add(answer);
    answer.outcome.then(forget, forget);
    return answer;
  }

  /** @throws DroverError `invalid_request` that names the field */
  #request(id: string, ask: Ask, options: AskOptions): Request {
    const { endpoint, body } = bodyOf(ask);
    const submittedAtMs = Date.now();
    const { maxUsdPer1k, priority, regions } = options;
    const parsed = parseValue(requestSchema, {
      v: 1,
      id,
      tenant: this.#tenant,
      ...(priority === undefined ? {} : { priority }),
      submittedAtMs,
      deadlineAtMs: submittedAtMs + (options.deadlineMs ?? deadlineDefaultMs),
      ...(maxUsdPer1k === undefined ? {} : { maxUsdPer1k }),
      ...(regions === undefined ? {} : { regions }),
      endpoint,
      body: { ...body, model: options.model ?? body.model ?? this.#model, stream: true },
    });
    if (!parsed.ok) throw new DroverError('invalid_request', parsed.problem);
    return parsed.value;
  }
}

const notAName = (param: string, { issues }: { issues: readonly { message: string }[] }): DroverError =>
  new DroverError('invalid_request', `${param}: ${issues.map(({ message }) => message).join('; ')}`, {
    param,
  });

function bodyOf(ask: Ask): { endpoint: 'chat' | 'completion'; body: Readonly<Record<string, unknown>> } {
  if (typeof ask === 'string')
    return { endpoint: 'chat', body: { messages: [{ role: 'user', content: ask }] } };
  if (Array.isArray(ask)) return { endpoint: 'chat', body: { messages: ask } };
  return { endpoint: 'prompt' in ask ? 'completion' : 'chat', body: ask };
}
