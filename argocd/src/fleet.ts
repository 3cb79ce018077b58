import { clusterId, tariff } from '@drover/schemas';
import { z } from 'zod';

/** The clusters of one environment: `argocd/environments/<environment>/fleet.json`, from which the rest is generated. */
export const fleet = z
  .strictObject({
    v: z.literal(1),
    environment: z.enum(['dev', 'staging', 'prod']),
    clusters: z
      .array(
        z.strictObject({
          name: clusterId,
          cloud: z.enum(['aws', 'gcp', 'azure']),
          /** The hub holds the streams, the ingress and the scheduler; it may run models too. */
          role: z.enum(['hub', 'leaf']),
          /** The most replicas of llm-server that the scheduler may ask for. */
          nodesMax: z.int().positive(),
          price: tariff.omit({ v: true }).partial({ overheadFactor: true }),
        }),
      )
      .min(1),
  })
  .refine(({ clusters }) => clusters.filter(({ role }) => role === 'hub').length === 1, 'one hub is needed')
  .refine(
    ({ clusters }) => new Set(clusters.map(({ name }) => name)).size === clusters.length,
    'two clusters have one name',
  );
export type Fleet = z.infer<typeof fleet>;
