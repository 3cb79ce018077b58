import { z } from 'zod';
import { endpoint } from '../names.ts';

/** The models on offer; KV bucket LLM_POLICY, key `models`. An alias is what clients may call a model instead. */
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
  })
  .superRefine(({ models }, context) => {
    const seen = new Set<string>();
    for (const name of models.flatMap((model) => [model.name, ...model.aliases])) {
      if (seen.has(name)) context.addIssue({ code: 'custom', message: `two models are called ${name}` });
      seen.add(name);
    }
  });
export type Catalogue = z.infer<typeof catalogue>;

/** The model that a client's name stands for, or undefined. */
export const resolveModel = (models: Catalogue, name: string) =>
  models.models.find((model) => model.name === name || model.aliases.includes(name));
