import { follow, publishCancel } from '@drover/client';
import { DroverError, httpHeaders, type RequestId, requestId } from '@drover/schemas';
import type { FastifyInstance } from 'fastify';
import { endpointOf } from '../core/request-id.ts';
import { snapshot } from '../core/snapshot.ts';
import { seenFromLastEventId } from '../core/sse.ts';
import { readStored } from '../nats/stored.ts';
import { tenantOf } from './authenticate.ts';
import { identityOf, whenReaderLeaves } from './deliver.ts';
import { deliverStream } from './deliver-stream.ts';
import { Exchange } from './exchange.ts';
import type { Ingress } from './ingress.ts';

type ById = { Params: { id: string }; Querystring: { include_usage?: string } };

/** A request that was made before: how it stands, its stream from where the reader was, and its end. */
export function requestRoutes(app: FastifyInstance, ingress: Ingress): void {
  const { nats } = ingress;

  app.get<ById>('/requests/:id', async (request, reply) => {
    const id = parseId(request.params.id);
    const stored = await readStored(nats, tenantOf(request), id);
    const state = snapshot(id, stored, ({ model }) => identityOf(endpointOf(id), id, model));
    if (state === undefined) throw unknownRequest(id);
    return reply.header(httpHeaders.requestId, id).send(state);
  });

  app.get<ById>('/requests/:id/stream', async (request, reply) => {
    const id = parseId(request.params.id);
    const seen = seenFromLastEventId(request.headers['last-event-id']?.toString());
    if (seen === undefined) {
      throw new DroverError('invalid_request', 'last-event-id: use the id of an event of this stream', {
        param: 'last-event-id',
      });
    }
    const endpoint = endpointOf(id);
    const exchange = new Exchange(ingress.metrics, endpoint, request.arrivedAtMs);
    request.exchange = exchange;
    const deadlineAtMs = Date.now() + ingress.config.DEADLINE_MAX_MS;
    const tenant = tenantOf(request);
    const { units: from, digest } = seen;
    const submission = follow(nats, {
      tenant,
      id,
      from,
      ...(digest === undefined ? {} : { seen: digest }),
      deadlineAtMs,
      readsDecisions: true,
    });
    ingress.metrics.resumes.inc({ by: 'id' });
    reply.header(httpHeaders.requestId, id);
    whenReaderLeaves(reply, () => submission.close());
    const delivery = { ingress, endpoint, submission, reply, exchange, model: 'unknown' };
    await deliverStream(delivery, { includeUsage: request.query.include_usage === 'true', seen });
    return reply;
  });

  app.post<ById>('/requests/:id/cancel', async (request, reply) => {
    const id = parseId(request.params.id);
    publishCancel(nats, tenantOf(request), id);
    return reply.code(202).header(httpHeaders.requestId, id).send({ id, object: 'request.cancel' });
  });
}

function parseId(text: string): RequestId {
  const parsed = requestId.safeParse(text);
  if (!parsed.success) throw unknownRequest(text);
  return parsed.data;
}

const unknownRequest = (id: string) => new DroverError('not_found', `No request \`${id}\` is known.`);
