import { z } from 'zod';
import { type AgentId, agentId, type ClusterId, clusterId, gpuCluster } from './names.ts';
import { subjects, writers } from './subjects.ts';

/** What the connection of an agent is called at its nats-server, which says it when the connection has ended. */
export const agentConnection = (cluster: ClusterId, agent: AgentId): string => `agent/${cluster}/${agent}`;

/** The token of `subjects.gone` for what the hub's own servers say; a leaf's is its cluster. Reserved, like all writers. */
export const hubPlace = writers.scheduler;

/** The account that all of Drover is in, and the one in which nats-server speaks of itself. */
export const account = 'DROVER';
export const systemAccount = 'SYS';
const disconnects = `$SYS.ACCOUNT.${account}.DISCONNECT`;

/** For the configuration of a nats-server: what its system account gives away, and to whom. */
export const departureExports = [{ stream: disconnects, accounts: [account] }] as const;

/** And where Drover's account hears it. @param place a leaf's cluster, or `hubPlace` */
export const departureImports = (place: string) =>
  [{ stream: { account: systemAccount, subject: disconnects }, to: subjects.gone(place) }] as const;

/** A nats-server saying that one of its connections has ended. Everything else that it says is of no use here. */
const departure = z.looseObject({
  client: z.looseObject({ kind: z.string(), name: z.string().optional() }),
  reason: z.string(),
});

/** How a connection ends whose process has died, was stopped, or was cut off. One that the server itself ended comes back. */
const diedReasons: ReadonlySet<string> = new Set(['Client Closed', 'Read Error', 'Write Error']);

/**
 * The agent that a departure tells of; undefined for every other connection. A leaf speaks for its own cluster only, and for
 * the accelerated nodes there.
 * @param place the last token of its subject
 */
export function agentGone(
  place: string,
  message: unknown,
): { readonly cluster: ClusterId; readonly agent: AgentId } | undefined {
  const parsed = departure.safeParse(message);
  if (!parsed.success) return undefined;
  const { client, reason } = parsed.data;
  const [kind, clusterName, agentName, ...more] = client.name?.split('/') ?? [];
  if (client.kind !== 'Client' || kind !== 'agent' || more.length > 0 || !diedReasons.has(reason))
    return undefined;
  const [cluster, agent] = [clusterId.safeParse(clusterName), agentId.safeParse(agentName)];
  if (!cluster.success || !agent.success) return undefined;
  const leaf = clusterId.safeParse(place);
  const own = leaf.success ? [leaf.data, gpuCluster(leaf.data)] : [];
  if (place !== hubPlace && !own.includes(cluster.data)) return undefined;
  return { cluster: cluster.data, agent: agent.data };
}
