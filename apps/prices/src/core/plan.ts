import { clusterId, tariff } from '@drover/schemas';
import { z } from 'zod';
import { machineShape } from './gcp-shapes.ts';

const { overheadFactor, egressUsdPerGb, preemptPerHour } = tariff.shape;

/** What a cloud's price list does not say, and how long a price of it is to be trusted. */
const cloud = {
  /** How long a price is good after it was fetched, in ms. */
  validForMs: z.number().positive().default(3_600_000),
  overheadFactor,
  egressUsdPerGb,
  preemptPerHour,
};

/** A name that goes into a query as it is. */
const name = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/);
const market = z.enum(['spot', 'on-demand']);

const awsSpot = z.strictObject({
  feeder: z.literal('aws-spot'),
  ...cloud,
  region: name.refine((region) => !region.startsWith('cn-'), 'prices in China are not in USD'),
  instanceType: name,
  /** Those that the nodes may be in, as the account names them; absent: all of the region. */
  zones: z.array(name).min(1).exactOptional(),
});
const azureRetail = z.strictObject({
  feeder: z.literal('azure-retail'),
  ...cloud,
  region: name,
  /** As in ARM: `Standard_D2s_v3`. */
  instanceType: name,
  market,
});
const gcpCatalogue = z.strictObject({
  feeder: z.literal('gcp-catalogue'),
  ...cloud,
  region: name,
  instanceType: name.refine(
    (type) => machineShape(type) !== undefined,
    'not a machine type whose price is the sum of its cores and memory here: see core/gcp-shapes.ts',
  ),
  market,
});
const file = z.strictObject({
  feeder: z.literal('file'),
  /** JSON or YAML: tariffs by cluster, as in schemas/json/tariff.schema.json. Read again at each turn. */
  file: z.string().min(1),
});

export const source = z.discriminatedUnion('feeder', [awsSpot, azureRetail, gcpCatalogue, file]);
export type Source = z.infer<typeof source>;
export type FeederName = Source['feeder'];
export type SourceOf<Name extends FeederName> = Extract<Source, { feeder: Name }>;
export type CloudSource = Exclude<Source, { feeder: 'file' }>;

/** Which cluster's price comes from where. */
export const plan = z
  .strictObject({
    v: z.literal(1),
    /** Between two turns, in ms. */
    intervalMs: z.number().int().min(100).default(300_000),
    /** A price that is more than so many times the last one, or less than this part of it, is not believed. */
    maxChange: z.number().gt(1).default(10),
    clusters: z
      .record(clusterId, source)
      .refine((clusters) => Object.keys(clusters).length > 0, 'no cluster is named'),
  })
  .superRefine(({ intervalMs, clusters }, context) => {
    for (const [cluster, one] of Object.entries(clusters))
      if (one.feeder !== 'file' && one.validForMs <= intervalMs)
        context.addIssue({
          code: 'custom',
          path: ['clusters', cluster, 'validForMs'],
          message: `every price would be stale before the next turn, ${intervalMs} ms later`,
        });
  });
export type Plan = z.infer<typeof plan>;
