import { createHash } from 'node:crypto';
import { type Endpoint, endpoints, type RequestId, requestId } from '@drover/schemas';

/**
 * `req_<endpoint>_<token>`. The endpoint is part of the id, so that a reader who comes back with nothing but the id can
 * be answered in the right shape without a lookup.
 */
const prefix = (endpoint: Endpoint) => `req_${endpoint}_`;

/** @param token unique, of at most 40 characters of the alphabet of subject tokens */
export const freshRequestId = (endpoint: Endpoint, token: string): RequestId =>
  requestId.parse(prefix(endpoint) + token);

/**
 * The same for the same tenant, endpoint and Idempotency-Key, wherever and whenever it is asked: that is what makes a
 * repeated submission join the first. The line break keeps ('a', 'b c') apart from ('a b', 'c').
 */
export const keyedRequestId = (endpoint: Endpoint, tenant: string, key: string): RequestId =>
  requestId.parse(
    prefix(endpoint) + createHash('sha256').update(`${tenant}\n${key}`).digest('hex').slice(0, 40),
  );

/** The endpoint of an id that the ingress made; ids of other producers are read as chat. */
export const endpointOf = (id: string): Endpoint =>
  endpoints.find((endpoint) => id.startsWith(prefix(endpoint))) ?? 'chat';

const answerPrefix = { chat: 'chatcmpl-', completion: 'cmpl-', embedding: 'embd-' } as const satisfies Record<
  Endpoint,
  string
>;

/** The `id` of the OpenAI answer. */
export const answerIdOf = (endpoint: Endpoint, id: string): string =>
  answerPrefix[endpoint] + (id.startsWith(prefix(endpoint)) ? id.slice(prefix(endpoint).length) : id);
