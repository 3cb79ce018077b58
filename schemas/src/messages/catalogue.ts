import { z } from 'zod';
import { endpoint } from '../names.ts';

/**
 * The models on offer; KV bucket LLM_POLICY, key `models`. An alias is what clients may call a model instead; a variant is
 * a name that stands for one of several models, by weight and always the same one for the same user.
 */
export const catalogue = z
  .strictObject({
    v: z.literal(1),
    models: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          aliases: z.array(z.string().min(1)).default([]),
          endpoints: z.array(endpoint).min(1),
          contextTokens: z.int().positive(),
        }),
      )
      .min(1),
    variants: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          /** Weights by the models' own names; the chance of a model is its share of the sum. */
          models: z
            .record(z.string(), z.number().min(0))
            .refine((weights) => Object.values(weights).some((weight) => weight > 0), 'no weight above 0'),
        }),
      )
      .exactOptional(),
  })
  .superRefine(({ models, variants = [] }, context) => {
    const issue = (message: string) => context.addIssue({ code: 'custom', message });
    const seen = new Set<string>();
    const names = models.flatMap((model) => [model.name, ...model.aliases]);
    for (const name of [...names, ...variants.map((variant) => variant.name)]) {
      if (seen.has(name)) issue(`two models are called ${name}`);
      seen.add(name);
    }
    for (const variant of variants) {
      const arms = Object.keys(variant.models).map((name) => models.find((model) => model.name === name));
      if (arms.some((model) => model === undefined))
        issue(`${variant.name} stands for a model that is not there`);
      else if (new Set(arms.map((model) => model?.endpoints.toSorted().join())).size > 1)
        issue(`the models of ${variant.name} serve different endpoints`);
    }
  });
export type Catalogue = z.infer<typeof catalogue>;
export type Variant = NonNullable<Catalogue['variants']>[number];

/** The models that a client's name may give, the first of them if it is no variant; empty for a name that is not on offer. */
export function modelsBehind(catalogue: Catalogue, name: string): Catalogue['models'] {
  const weights = catalogue.variants?.find((variant) => variant.name === name)?.models;
  if (weights) return catalogue.models.filter((model) => (weights[model.name] ?? 0) > 0);
  const model = resolveModel(catalogue, name);
  return model ? [model] : [];
}

/** The model that a client's name stands for, or undefined; a variant stands for none before its user is known. */
export const resolveModel = (models: Catalogue, name: string) =>
  models.models.find((model) => model.name === name || model.aliases.includes(name));
