import type { Cluster, Facts } from './facts.ts';
import { prerequisites } from './prerequisites.ts';
import { pulumi } from './tools.ts';
import type { Plan } from './types.ts';

/**
 * Pure. The nodes that are always there, to zero or back. The cluster has to be at zero before: in EKS what takes spot nodes
 * away runs on these.
 */
export function hibernatePlan(facts: Facts, cluster: Cluster, paused: boolean): Plan {
  const { environment, clusters, prices } = facts;
  const { nodes, machine } = cluster.pools.system;
  const price = machine === undefined ? prices.get(cluster.name)?.usdPerHour : undefined;
  // AKS has no cluster without a node.
  const gone = cluster.cloud === 'azure' ? nodes - 1 : nodes;
  const worth = price === undefined ? 'not known here' : `${(gone * price).toFixed(3)} USD/h, quoted`;
  const key = `drover:clusters[${clusters.indexOf(cluster)}].paused`;
  return {
    environment,
    prerequisites: prerequisites(facts).filter(
      ({ name }) =>
        name.startsWith('pulumi') || name === 'login to Pulumi' || name.endsWith(` for ${cluster.name}`),
    ),
    steps: [
      {
        name: 'system-nodes',
        title: paused
          ? `The ${gone} system nodes of ${cluster.name} go`
          : `The ${gone} system nodes of ${cluster.name} come back`,
        why: 'Control plane, gateway, disks and registry stay, and cost; everything else is as it was when it is resumed.',
        needs: [],
        cost: `${paused ? 'less' : 'more'} by ${worth}`,
        undo: `drover ${paused ? 'resume' : 'pause'} ${cluster.name} --env ${environment}`,
        actions: [
          ...(cluster.paused === paused
            ? []
            : [
                {
                  kind: 'run' as const,
                  command: pulumi(environment, ['config', 'set', '--path', key, String(paused)]),
                },
              ]),
          {
            kind: 'run',
            command: pulumi(environment, ['up', '--yes', '--non-interactive']),
            ...(cluster.paused === paused
              ? { doneIf: pulumi(environment, ['preview', '--expect-no-changes', '--non-interactive']) }
              : {}),
          },
        ],
      },
    ],
  };
}
