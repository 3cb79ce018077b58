import { createHash } from 'node:crypto';
import {
  type Catalogue,
  chatBody,
  completionBody,
  DroverError,
  type Endpoint,
  embeddingBody,
  httpHeaders,
  type Priority,
  priorities,
  type RequestInput,
  resolveModel,
  type TenantId,
} from '@drover/schemas';
import type { z } from 'zod';
import { freshRequestId, keyedRequestId } from './request-id.ts';

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** What came in, and what is needed to judge it. */
export type Arrival = {
  readonly endpoint: Endpoint;
  readonly tenant: TenantId;
  readonly headers: Headers;
  /** The body as it was sent. */
  readonly body: Uint8Array;
  /** Absent until one has been read from NATS. */
  readonly catalogue: Catalogue | undefined;
  /** Unique; becomes the request id unless the client named the request itself. */
  readonly token: string;
  readonly nowMs: number;
  readonly deadline: { readonly defaultMs: number; readonly maxMs: number };
};

export type Admission = {
  readonly request: RequestInput;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The client sent an Idempotency-Key: it may come back for the answer. */
  readonly keyed: boolean;
};

/**
 * Turns an HTTP request into the message that enters NATS. The model's name becomes that of the catalogue; every other
 * field of the body passes as it is.
 * @throws DroverError with the field at fault as `param`
 */
export function admit(arrival: Arrival): Admission {
  const json = parseJson(arrival.body);
  const key = idempotencyKey(arrival.headers);
  const envelope = {
    v: 1 as const,
    id:
      key === undefined
        ? freshRequestId(arrival.endpoint, arrival.token)
        : keyedRequestId(arrival.endpoint, arrival.tenant, key),
    tenant: arrival.tenant,
    priority: priorityOf(arrival.headers),
    submittedAtMs: arrival.nowMs,
    deadlineAtMs: arrival.nowMs + deadlineMs(arrival.headers, arrival.deadline),
    ...ceiling(arrival.headers),
    ...(key === undefined ? {} : { bodyHash: createHash('sha256').update(arrival.body).digest('hex') }),
  };
  const keyed = key !== undefined;
  switch (arrival.endpoint) {
    case 'chat': {
      const body = onOffer(parseBody(chatBody, json), arrival);
      return { request: { ...envelope, endpoint: 'chat', body }, keyed, ...streaming(body) };
    }
    case 'completion': {
      const body = onOffer(parseBody(completionBody, json), arrival);
      return { request: { ...envelope, endpoint: 'completion', body }, keyed, ...streaming(body) };
    }
    case 'embedding': {
      const body = onOffer(parseBody(embeddingBody, json), arrival);
      return {
        request: { ...envelope, endpoint: 'embedding', body },
        keyed,
        stream: false,
        includeUsage: false,
      };
    }
    default:
      return arrival.endpoint satisfies never;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true });

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch (cause) {
    const problem = body.length === 0 ? 'The body is empty.' : 'The body is not valid JSON.';
    // The cause quotes the body, so it is for nobody's log.
    throw new DroverError('invalid_json', problem, cause instanceof RangeError ? { cause } : {});
  }
}

function parseBody<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const param = issue === undefined || issue.path.length === 0 ? null : issue.path.join('.');
  throw new DroverError('invalid_request', `${param ?? 'The body'}: ${issue?.message ?? 'not valid'}`, {
    param,
  });
}

/** The body with the catalogue's name of its model. */
function onOffer<T extends { readonly model: string }>(body: T, { catalogue, endpoint }: Arrival): T {
  if (catalogue === undefined) {
    throw new DroverError('unavailable', 'The model catalogue has not been read yet; try again.', {
      retryAfterSeconds: 1,
    });
  }
  const model = resolveModel(catalogue, body.model);
  if (model === undefined) {
    throw new DroverError('model_not_found', `The model \`${body.model}\` does not exist.`, {
      param: 'model',
    });
  }
  if (!model.endpoints.includes(endpoint)) {
    throw new DroverError('endpoint_not_served', `The model \`${body.model}\` does not serve ${endpoint}.`, {
      param: 'model',
    });
  }
  return { ...body, model: model.name };
}

const streaming = (body: {
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | null | undefined;
}) => ({ stream: body.stream === true, includeUsage: body.stream_options?.include_usage === true });

const idempotencyKeyMax = 255;

function idempotencyKey(headers: Headers): string | undefined {
  const key = single(headers, httpHeaders.idempotencyKey);
  if (key === undefined) return undefined;
  if (key === '' || key.length > idempotencyKeyMax) {
    throw badHeader(httpHeaders.idempotencyKey, `use 1 to ${idempotencyKeyMax} characters`);
  }
  return key;
}

function priorityOf(headers: Headers): Priority {
  const asked = single(headers, httpHeaders.priority);
  if (asked === undefined) return 'standard';
  const known = priorities.find((priority) => priority === asked);
  if (known === undefined) throw badHeader(httpHeaders.priority, `use one of ${priorities.join(', ')}`);
  return known;
}

/** How long the client is willing to wait, in ms from now. */
function deadlineMs(headers: Headers, limits: Arrival['deadline']): number {
  const asked = single(headers, httpHeaders.deadlineMs);
  if (asked === undefined) return limits.defaultMs;
  const wanted = /^\d{1,12}$/.test(asked) ? Number(asked) : 0;
  if (wanted < 1 || wanted > limits.maxMs) {
    throw badHeader(httpHeaders.deadlineMs, `use a whole number of ms from 1 to ${limits.maxMs}`);
  }
  return wanted;
}

function ceiling(headers: Headers): { maxUsdPer1k?: number } {
  const asked = single(headers, httpHeaders.maxUsdPer1k);
  if (asked === undefined) return {};
  const dollars = asked.trim() === '' ? Number.NaN : Number(asked);
  if (!Number.isFinite(dollars) || dollars <= 0) {
    throw badHeader(httpHeaders.maxUsdPer1k, 'use a number of dollars above 0');
  }
  return { maxUsdPer1k: dollars };
}

const badHeader = (name: string, hint: string): DroverError =>
  new DroverError('invalid_request', `${name}: ${hint}`, { param: name });

/** A header that is sent twice is taken as its first value. */
const single = (headers: Headers, name: string): string | undefined => {
  const value = headers[name];
  return typeof value === 'string' || value === undefined ? value : value[0];
};
