import { z } from 'zod';
import { endpoint } from '../names.ts';
import type { Catalogue } from './catalogue.ts';

/**
 * `s3://bucket/key`, `gs://bucket/object` and `az://account/container/blob`. Letters that would have to be escaped are left
 * out, so that nobody can disagree on how; and dots in an S3 bucket, whose name has to fit the certificate of its host.
 */
const objectUri =
  /^(?:s3:\/\/[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|gs:\/\/[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]|az:\/\/[a-z0-9]{3,24}\/[a-z0-9][a-z0-9-]{1,61}[a-z0-9])(?:\/[\w-][\w.-]*)+$/;

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
            /** `https:` is fetched as anybody, the others as whom the chart's `modelStore` names. */
            uri: z.union([z.url({ protocol: /^https$/ }), z.string().regex(objectUri)]),
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
