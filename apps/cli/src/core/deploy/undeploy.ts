import { type Facts, targetsIn } from './facts.ts';
import { prerequisites } from './prerequisites.ts';
import { argocd, atHub, kubectl, pulumi } from './tools.ts';
import type { Action, Paths, Plan } from './types.ts';

/** Everything but the namespaces: those ask a person before they go, and go with the cluster. */
const allButCluster = 'drover.dev/app,drover.dev/app!=cluster';

/**
 * Pure. The way back: no new work, no work left, what Kubernetes asked of the clouds (balancers, disks), then the clouds. What
 * Kubernetes made is not in Pulumi's state: left behind, it would go on costing.
 */
export function undeployPlan(facts: Facts, paths: Paths): Plan {
  const { environment, hub, clusters } = facts;
  const onHub = (args: readonly string[]) => kubectl(paths, hub.name, args);
  return {
    environment,
    // What is only needed to build is not asked for.
    prerequisites: prerequisites(facts).filter(
      ({ code, name }) => code !== 'missing_configuration' && name !== 'crane',
    ),
    steps: [
      {
        name: 'drain',
        title: 'No new work, and none left',
        why: 'Accepted requests are answered before anything is taken away.',
        needs: [],
        cost: 'nothing',
        undo: 'drover uncordon <cluster>',
        actions: [
          atHub(
            paths,
            hub.name,
            clusters.flatMap(targetsIn).map((name) => ['drain', name, '--reason', 'undeploy', '--yes']),
          ),
        ],
      },
      {
        name: 'applications',
        title: 'Applications, with what they made',
        why: 'Load balancers are made by Kubernetes, and only it takes them away. First those go that would make the others again.',
        needs: ['drain'],
        cost: 'load balancers end',
        undo: `drover deploy <cloud> --env ${environment}`,
        actions: [
          run(onHub(['-n', 'argocd', 'delete', 'application', 'drover', '--ignore-not-found'])),
          run(
            onHub([
              ...['-n', 'argocd', 'delete', 'applicationsets.argoproj.io', '--all'],
              ...['--cascade=orphan', '--ignore-not-found'],
            ]),
          ),
          run(argocd(paths, ['app', 'delete', '-l', allButCluster, '--cascade', '--wait', '--yes'])),
        ],
      },
      {
        name: 'disks',
        title: 'Disks: streams, ledger, metrics',
        why: 'Volumes outlive their pods on purpose. What is in them is lost: requests, costs, dead letters.',
        needs: ['applications'],
        cost: 'disks end',
        undo: 'none: take a copy first (`nats stream backup`)',
        actions: clusters.flatMap(({ name }) =>
          ['nats', 'monitoring'].map((namespace) =>
            run(kubectl(paths, name, ['-n', namespace, 'delete', 'pvc', '--all', '--ignore-not-found'])),
          ),
        ),
      },
      {
        name: 'destroy',
        title: 'Clusters, networks, registries, zone',
        why: 'Everything that drover deploy made in the clouds.',
        needs: ['disks'],
        cost: 'the bill ends',
        undo: `drover deploy <cloud> --env ${environment}`,
        actions: [
          // Whoever got here has typed its name.
          ...(environment === 'prod'
            ? [run(pulumi(environment, ['state', 'unprotect', '--all', '--yes']))]
            : []),
          run(pulumi(environment, ['destroy', '--yes', '--non-interactive'])),
        ],
      },
    ],
  };
}

const run = (command: (Action & { kind: 'run' })['command']): Action => ({ kind: 'run', command });
