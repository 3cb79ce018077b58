import { type ClusterId, clusterId, gpuCluster, tariff } from '@drover/schemas';
import { z } from 'zod';

const price = tariff.omit({ v: true }).partial({ overheadFactor: true });
/** The most replicas of llm-server that the scheduler may ask for. */
const nodesMax = z.int().positive();

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
          nodesMax,
          price,
          /** Accelerated nodes, where infra makes a pool of them: a cluster of their own on the wire (`gpuCluster`). */
          gpu: z.strictObject({ nodesMax, price }).optional(),
        }),
      )
      .min(1),
  })
  .refine(({ clusters }) => clusters.filter(({ role }) => role === 'hub').length === 1, 'one hub is needed')
  .refine(({ clusters }) => {
    // Accelerated or not: a leaf may speak for `<its name>-gpu`, so that is nobody else's.
    const names = clusters.flatMap(({ name }) => [name, gpuCluster(name)]);
    return new Set(names).size === names.length;
  }, 'two clusters have one name');
export type Fleet = z.infer<typeof fleet>;

/** What jobs can be sent to. */
export type Target = {
  readonly name: ClusterId;
  /** The cluster of Kubernetes, and of nats-server, that it is in. */
  readonly at: ClusterId;
  readonly role: 'hub' | 'leaf';
  readonly nodesMax: number;
  readonly price: z.infer<typeof price>;
};

/** Every cluster, and after it its accelerated nodes if it has any. */
export const targetsOf = ({ clusters }: Fleet): Target[] =>
  clusters.flatMap(({ name, role, gpu, nodesMax, price }) => [
    { name, at: name, role, nodesMax, price },
    ...(gpu === undefined ? [] : [{ name: gpuCluster(name), at: name, role, ...gpu }]),
  ]);
