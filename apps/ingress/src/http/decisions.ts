import { DroverError, explainDecision, requestId } from '@drover/schemas';
import type { FastifyInstance } from 'fastify';
import { lastDecision } from '../nats/stored.ts';
import { tenantOf } from './authenticate.ts';
import type { Ingress } from './ingress.ts';

/** Why a request went where it went: the last decision about it, as data and in words. */
export function decisionRoutes(app: FastifyInstance, ingress: Ingress): void {
  app.get<{ Params: { id: string } }>('/decisions/:id', async (request, reply) => {
    const id = requestId.safeParse(request.params.id);
    const record = id.success ? await lastDecision(ingress.nats, tenantOf(request), id.data) : null;
    if (record === null) {
      throw new DroverError('not_found', `No decision about a request \`${request.params.id}\` is known.`);
    }
    const explanation = explainDecision(record);
    if (wantsText(request.headers.accept)) return reply.type('text/plain; charset=utf-8').send(explanation);
    return reply.send({ record, explanation });
  });
}

const wantsText = (accept = ''): boolean =>
  accept.includes('text/plain') && !accept.includes('application/json');
