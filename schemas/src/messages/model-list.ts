import { z } from 'zod';
import { endpoint } from '../names.ts';
import type { Catalogue } from './catalogue.ts';

/**
 * Every model that Drover knows how to deploy: `schemas/models/catalogue.json`. The chart takes from it the file, its hash
 * and how much memory it needs; bootstrap puts the part that clients see (`onOffer`) into KV.
 */
export const modelList = z
  .strictObject({
    v: z.literal(1),
    models: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          aliases: z.array(z.string().min(1)),
          endpoints: z.array(endpoint).min(1),
          contextTokens: z.int().positive(),
          licence: z.string().min(1),
          /** How many numbers the model consists of. */
          parameters: z.int().positive(),
          quantisation: z.string().min(1),
          /** What the memory of a token of context follows from: `2 · 2 bytes · layers · kvHeads · headDimension`. */
          architecture: z.strictObject({
            layers: z.int().positive(),
            kvHeads: z.int().positive(),
            headDimension: z.int().positive(),
          }),
          file: z.strictObject({
            name: z.string().regex(/^[\w.-]+\.gguf$/),
            uri: z.url({ protocol: /^https$/ }),
            /** Absent: nobody has published or measured it, and the chart asks before it fetches the file. */
            sha256: z
              .string()
              .regex(/^[0-9a-f]{64}$/)
              .optional(),
            bytes: z.int().positive().optional(),
          }),
          /** Whether the figures above were measured on the file, or are told by somebody else, and by whom. */
          figures: z.strictObject({ how: z.enum(['measured', 'quoted']), source: z.string().min(1) }),
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
export type ModelList = z.infer<typeof modelList>;

/** The part of the list that clients see. */
export const onOffer = ({ models }: ModelList): Catalogue => ({
  v: 1,
  models: models.map(({ name, aliases, endpoints, contextTokens }) => ({
    name,
    aliases,
    endpoints,
    contextTokens,
  })),
});

/** Bytes of one token of context: a key and a value of two bytes per layer, head and dimension. */
export const contextBytesPerToken = ({ architecture }: ModelList['models'][number]): number =>
  4 * architecture.layers * architecture.kvHeads * architecture.headDimension;
