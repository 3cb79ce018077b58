import { randomUUID } from 'node:crypto';
import { submit } from '@drover/client';
import { type Endpoint, httpHeaders, natsHeaders, writers } from '@drover/schemas';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { nuid } from 'nats';
import { type Admission, admit } from '../core/admit.ts';
import { toDroverError } from '../core/errors.ts';
import { traceparentOf } from '../core/traceparent.ts';
import { tenantOf } from './authenticate.ts';
import { type Delivery, whenReaderLeaves } from './deliver.ts';
import { deliverStream } from './deliver-stream.ts';
import { deliverWhole } from './deliver-whole.ts';
import { Exchange } from './exchange.ts';
import type { Ingress } from './ingress.ts';
import { reserveBudget, takeRate } from './limits.ts';
import { rawBody } from './raw-body.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** When the headers had been read, by `performance.now()`. */
    arrivedAtMs: number;
    /** Set once this request is counted by its own exchange. */
    exchange: Exchange | null;
  }
  interface FastifyContextConfig {
    /** The endpoint of a route that runs a model. */
    endpoint?: Endpoint;
  }
}

/** The three routes that run a model. */
export function generationRoutes(app: FastifyInstance, ingress: Ingress): void {
  const route = (path: string, endpoint: Endpoint) =>
    app.post(path, { config: { endpoint } }, (request, reply) => generate(ingress, endpoint, request, reply));
  route('/chat/completions', 'chat');
  route('/completions', 'completion');
  route('/embeddings', 'embedding');
}

/** Admit, submit, deliver. */
async function generate(
  ingress: Ingress,
  endpoint: Endpoint,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const exchange = new Exchange(ingress.metrics, endpoint, request.arrivedAtMs);
  request.exchange = exchange;
  let correctRate = (_tokens: number | undefined) => {};
  try {
    const admission = admitted(ingress, endpoint, request);
    exchange.admitted(admission.request.priority ?? 'standard');
    correctRate = takeRate(ingress, admission, request, reply);
    const delivery = await accepted(ingress, admission, request, reply, exchange);
    if (admission.stream) await deliverStream(delivery, { includeUsage: admission.includeUsage });
    else await deliverWhole(delivery);
  } catch (error) {
    exchange.refused(toDroverError(error));
    throw error;
  } finally {
    correctRate(exchange.tokens);
  }
  return reply;
}

const admitted = (ingress: Ingress, endpoint: Endpoint, request: FastifyRequest): Admission =>
  admit({
    endpoint,
    tenant: tenantOf(request),
    apiKey: request.apiKey ?? undefined,
    headers: request.headers,
    body: rawBody(request),
    catalogue: ingress.catalogue.current(),
    token: nuid.next(),
    nowMs: Date.now(),
    deadline: { defaultMs: ingress.config.DEADLINE_DEFAULT_MS, maxMs: ingress.config.DEADLINE_MAX_MS },
  });

/** Hands the request to JetStream; when this resolves it has been accepted. */
async function accepted(
  ingress: Ingress,
  admission: Admission,
  request: FastifyRequest,
  reply: FastifyReply,
  exchange: Exchange,
): Promise<Delivery> {
  const { id, body, bodyHash, endpoint } = admission.request;
  const traceparent = traceparentOf(request.headers.traceparent, randomHex);
  reply.header(httpHeaders.requestId, id).header(natsHeaders.traceparent, traceparent);
  const giveBack = await reserveBudget(ingress, admission, request.apiKey);
  const submission = await submit(ingress.nats, admission.request, {
    traceparent,
    expireAs: writers.ingress,
  }).catch((error: unknown) => {
    giveBack(error);
    throw error;
  });
  exchange.accepted();
  if (submission.duplicate) ingress.metrics.resumes.inc({ by: 'key' });
  ingress.log.debug({ requestId: id, endpoint, duplicate: submission.duplicate }, 'request accepted');
  whenReaderLeaves(reply, () => {
    // A client that named its request may come back for the answer, and one that we cut off will.
    if (!admission.keyed && !ingress.draining()) submission.cancel();
    submission.close();
  });
  return { ingress, endpoint, submission, reply, exchange, model: body.model, bodyHash };
}

/** 64 hex digits out of two UUIDs: Node keeps random ones in stock, which makes them much cheaper than fresh bytes. */
const randomHex = (): string => (randomUUID() + randomUUID()).replaceAll('-', '');
