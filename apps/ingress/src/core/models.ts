import type { Catalogue } from '@drover/schemas';

/** OpenAI's model objects: every name, and every alias as a model of its own. */
export const modelList = (catalogue: Catalogue, created: number) =>
  catalogue.models
    .flatMap(({ name, aliases }) => [name, ...aliases])
    .map((id) => ({ id, object: 'model' as const, created, owned_by: 'drover' }));
