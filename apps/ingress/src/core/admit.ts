import { createHash } from 'node:crypto';
import {
  type Catalogue,
  chatBody,
  commonRegions,
  completionBody,
  DroverError,
  type Endpoint,
  embeddingBody,
  httpHeaders,
  modelsBehind,
  type Priority,
  priorities,
  type RequestInput,
  regionPattern,
  regionsMax,
  type TenantId,
} from '@drover/schemas';
import type { z } from 'zod';
import type { ApiKey } from './api-keys.ts';
import { limited, tokensBound } from './cost-bound.ts';
import { freshRequestId, keyedRequestId } from './request-id.ts';

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** What came in, and what is needed to judge it. */
export type Arrival = {
  readonly endpoint: Endpoint;
  readonly tenant: TenantId;
  /** The API key that was shown; absent where the client signed. */
  readonly apiKey?: ApiKey | undefined;
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
  /** More than the request can cost, in USD; present when its key has a budget. */
  readonly reserveUsd?: number;
};

/**
 * Turns an HTTP request into the message that enters NATS. The model's name becomes that of the catalogue; every other
 * field of the body passes as it is, except that where a budget is to be kept an answer gets a limit.
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
    ...ceiling(arrival.headers, arrival.apiKey?.maxUsdPer1k),
    ...regionsOf(arrival.headers, arrival.apiKey?.regions),
    ...(arrival.apiKey === undefined ? {} : { key: arrival.apiKey.id }),
    ...(key === undefined ? {} : { bodyHash: createHash('sha256').update(arrival.body).digest('hex') }),
  };
  const keyed = key !== undefined;
  const hasBudget = arrival.apiKey?.budget !== undefined;
  const reserve = (body: RequestInput['body'], contextTokens: number) =>
    hasBudget ? costBound(body, arrival.body.length, contextTokens, envelope.maxUsdPer1k) : {};
  switch (arrival.endpoint) {
    case 'chat': {
      const { body: asked, contextTokens } = onOffer(parseBody(chatBody, json), arrival);
      const body = hasBudget ? limited(asked, contextTokens) : asked;
      const request = { ...envelope, endpoint: 'chat' as const, body };
      return { request, keyed, ...streaming(body), ...reserve(body, contextTokens) };
    }
    case 'completion': {
      const { body: asked, contextTokens } = onOffer(parseBody(completionBody, json), arrival);
      const body = hasBudget ? limited(asked, contextTokens) : asked;
      const request = { ...envelope, endpoint: 'completion' as const, body };
      return { request, keyed, ...streaming(body), ...reserve(body, contextTokens) };
    }
    case 'embedding': {
      const { body, contextTokens } = onOffer(parseBody(embeddingBody, json), arrival);
      const request = { ...envelope, endpoint: 'embedding' as const, body };
      return { request, keyed, stream: false, includeUsage: false, ...reserve(body, contextTokens) };
    }
    default:
      return arrival.endpoint satisfies never;
  }
}

function costBound(
  body: RequestInput['body'],
  bodyBytes: number,
  contextTokens: number,
  maxUsdPer1k: number | undefined,
): { reserveUsd: number } {
  // The file of keys does not let a budget be without a ceiling.
  if (maxUsdPer1k === undefined) throw new Error('a budget without a ceiling');
  return { reserveUsd: (tokensBound(body, bodyBytes, contextTokens) * maxUsdPer1k) / 1_000 };
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

/**
 * The body with the catalogue's name of its model, and the context of that. Which model a variant stands for the scheduler
 * says; until then the one with the longest context counts.
 */
function onOffer<T extends { readonly model: string }>(
  body: T,
  { catalogue, endpoint }: Arrival,
): { body: T; contextTokens: number } {
  if (catalogue === undefined) {
    throw new DroverError('unavailable', 'The model catalogue has not been read yet; try again.', {
      retryAfterSeconds: 1,
    });
  }
  const models = modelsBehind(catalogue, body.model);
  const [model] = models;
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
  const isVariant = catalogue.variants?.some(({ name }) => name === body.model);
  return {
    body: isVariant ? body : { ...body, model: model.name },
    contextTokens: Math.max(...models.map(({ contextTokens }) => contextTokens)),
  };
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

/** The lower of what the client allows and what its key does. */
function ceiling(headers: Headers, ofKey: number | undefined): { maxUsdPer1k?: number } {
  const asked = single(headers, httpHeaders.maxUsdPer1k);
  if (asked === undefined) return ofKey === undefined ? {} : { maxUsdPer1k: ofKey };
  const dollars = asked.trim() === '' ? Number.NaN : Number(asked);
  if (!Number.isFinite(dollars) || dollars <= 0) {
    throw badHeader(httpHeaders.maxUsdPer1k, 'use a number of dollars above 0');
  }
  return { maxUsdPer1k: Math.min(dollars, ofKey ?? Number.POSITIVE_INFINITY) };
}

/** What the client allows of what its key does. */
function regionsOf(headers: Headers, ofKey: readonly string[] | undefined): { regions?: string[] } {
  const header = single(headers, httpHeaders.regions);
  if (header === undefined) return ofKey === undefined ? {} : { regions: [...ofKey] };
  const asked = header.split(',', regionsMax + 1).map((one) => one.trim());
  if (asked.length > regionsMax || !asked.every((one) => regionPattern.safeParse(one).success)) {
    throw badHeader(
      httpHeaders.regions,
      `use 1 to ${regionsMax} names of regions, or beginnings that end in \`-\`, with commas between them`,
    );
  }
  const regions = commonRegions(asked, ofKey ?? asked);
  if (regions.length === 0) {
    throw badHeader(httpHeaders.regions, `the API key allows none of them, only ${ofKey?.join(', ')}`);
  }
  return { regions };
}

const badHeader = (name: string, hint: string): DroverError =>
  new DroverError('invalid_request', `${name}: ${hint}`, { param: name });

/** A header that is sent twice is taken as its first value. */
const single = (headers: Headers, name: string): string | undefined => {
  const value = headers[name];
  return typeof value === 'string' || value === undefined ? value : value[0];
};
