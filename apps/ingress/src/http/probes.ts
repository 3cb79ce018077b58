import type { FastifyInstance } from 'fastify';
import { type ClusterStatus, type Readiness, readiness } from '../core/fleet.ts';
import type { Ingress } from './ingress.ts';

export const readinessOf = (ingress: Ingress): Readiness =>
  readiness({
    connected: ingress.nats.connected(),
    catalogue: ingress.catalogue.current() !== undefined,
    draining: ingress.draining(),
    scaling: ingress.policy.current()?.scaling !== undefined,
    clusters: ingress.fleet.readyClusters(),
  });

/** The fleet as this process has heard it, for people and dashboards: from memory, and asking changes nothing. */
export function statusOf(ingress: Ingress, nowMs: number) {
  const { ready, missing } = readinessOf(ingress);
  const clusters = ingress.fleet.clusters();
  const total = (count: (cluster: ClusterStatus) => number) =>
    clusters.reduce((sum, cluster) => sum + count(cluster), 0);
  return {
    status: ready ? 'ready' : 'not ready',
    at: new Date(nowMs).toISOString(),
    missing,
    totals: {
      clusters: clusters.length,
      readyClusters: total((cluster) => Number(cluster.ready)),
      slots: total(({ slots }) => slots),
      busy: total(({ busy }) => busy),
    },
    clusters,
  };
}

/** For load balancers and orchestrators; without authentication, from memory. */
export function probeRoutes(app: FastifyInstance, ingress: Ingress): void {
  app.get('/livez', () => ({ status: 'ok' }));
  app.get('/readyz', (_request, reply) => {
    const { ready, clusters, missing } = readinessOf(ingress);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', clusters, missing });
  });
}
