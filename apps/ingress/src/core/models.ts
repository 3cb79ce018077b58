import type { Catalogue } from '@drover/schemas';

/** OpenAI's model objects: every name, and every alias and every variant as a model of its own. */
export const modelList = (catalogue: Catalogue, created: number) =>
  [
    ...catalogue.models.flatMap(({ name, aliases }) => [name, ...aliases]),
    ...(catalogue.variants ?? []).map(({ name }) => name),
  ].map((id) => ({ id, object: 'model' as const, created, owned_by: 'drover' }));
