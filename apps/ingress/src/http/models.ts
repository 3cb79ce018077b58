import { type Catalogue, DroverError } from '@drover/schemas';
import type { FastifyInstance } from 'fastify';
import { modelList } from '../core/models.ts';
import type { Ingress } from './ingress.ts';

/** The models on offer, by name and by alias. */
export function modelRoutes(app: FastifyInstance, ingress: Ingress): void {
  const createdAt = Math.floor(Date.now() / 1_000);
  const models = () => modelList(catalogueOf(ingress), createdAt);

  app.get('/models', () => ({ object: 'list', data: models() }));

  // A name may hold slashes.
  app.get<{ Params: { '*': string } }>('/models/*', (request) => {
    const id = request.params['*'];
    const model = models().find((candidate) => candidate.id === id);
    if (model === undefined) {
      throw new DroverError('model_not_found', `The model \`${id}\` does not exist.`, { param: 'model' });
    }
    return model;
  });
}

function catalogueOf(ingress: Ingress): Catalogue {
  const catalogue = ingress.catalogue.current();
  if (catalogue !== undefined) return catalogue;
  throw new DroverError('unavailable', 'The model catalogue has not been read yet; try again.', {
    retryAfterSeconds: 1,
  });
}
