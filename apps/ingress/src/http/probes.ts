import type { FastifyInstance } from 'fastify';
import { type Readiness, readiness } from '../core/fleet.ts';
import type { Ingress } from './ingress.ts';

export const readinessOf = (ingress: Ingress): Readiness =>
  readiness({
    connected: ingress.nats.connected(),
    catalogue: ingress.catalogue.current() !== undefined,
    draining: ingress.draining(),
    scaling: ingress.policy.current()?.scaling !== undefined,
    clusters: ingress.fleet.readyClusters(),
  });

/** For load balancers and orchestrators; without authentication, from memory. */
export function probeRoutes(app: FastifyInstance, ingress: Ingress): void {
  app.get('/livez', () => ({ status: 'ok' }));
  app.get('/readyz', (_request, reply) => {
    const { ready, clusters, missing } = readinessOf(ingress);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', clusters, missing });
  });
}
