import { DroverError } from '@drover/schemas';
import type { FastifyInstance } from 'fastify';
import { costsOf, parseCostsQuery } from '../core/costs.ts';
import { tenantOf } from './authenticate.ts';
import type { Ingress } from './ingress.ts';

/** What the tenant's requests have cost, from the ledger. */
export function costRoutes(app: FastifyInstance, { book, ledger }: Ingress): void {
  app.get<{ Querystring: Record<string, unknown> }>('/costs', (request) => {
    const query = parseCostsQuery(request.query, Date.now());
    if (ledger.position === undefined) {
      throw new DroverError('unavailable', 'The ledger has not been read yet; try again.', {
        retryAfterSeconds: 1,
      });
    }
    return costsOf(book, tenantOf(request), query);
  });
}
