import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import {
  buckets,
  type ClusterId,
  type ConsumerDefinition,
  clusterId,
  jobConsumer,
  policyKeys,
  wakeConsumer,
} from '@drover/schemas';
import { CliError } from '../errors.ts';

/** Jobs of a cluster that run or wait there. */
export type Backlog = { readonly running: number; readonly waiting: number };

/** Undefined when there is no such cluster: each has a consumer of its own, made at bootstrap. */
export const backlogOf = (nats: Nats, cluster: string): Promise<Backlog | undefined> =>
  before(nats, jobConsumer(cluster));

/** How many nodes of a cluster the scheduler wants now: what its autoscaler acts on. Undefined as above. */
export async function wantedNodesOf(nats: Nats, cluster: string): Promise<number | undefined> {
  const nodes = await before(nats, wakeConsumer(cluster));
  return nodes && nodes.running + nodes.waiting;
}

/** What a consumer has before it. */
async function before(nats: Nats, { stream, name }: ConsumerDefinition): Promise<Backlog | undefined> {
  try {
    const { num_ack_pending, num_pending } = await nats.jsm.consumers.info(stream, name);
    return { running: num_ack_pending, waiting: num_pending };
  } catch (error) {
    if (isApiError(error, apiErrors.consumerNotFound)) return undefined;
    throw error;
  }
}

/** The name of a cluster that exists. @throws CliError `unknown_cluster` */
export async function existingCluster(nats: Nats, name: string): Promise<ClusterId> {
  const parsed = clusterId.safeParse(name);
  if (!parsed.success || (await backlogOf(nats, parsed.data)) === undefined)
    throw new CliError('unknown_cluster', `no cluster is called "${name}"`);
  return parsed.data;
}

/** Where the cordon of a cluster is kept. */
export const cordonKey = (cluster: ClusterId) => ({
  bucket: buckets.policy.name,
  key: policyKeys.cordon(cluster),
});
