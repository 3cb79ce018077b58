import { account, departureExports, departureImports, hubPlace, systemAccount } from '@drover/schemas';
import { stringify } from 'yaml';
import { agentUsers, hubMappings, hubUsers, namesAt } from './accounts.ts';
import { type Fleet, targetsOf } from './fleet.ts';

const note = '# Generated from fleet.json by argocd/src/generate.ts. Do not edit.\n';
const yaml = (value: object): string =>
  note + stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });

/** Everything that follows from a fleet: the content of each generated file of its environment, by name. */
export function generatedValues(fleet: Fleet): Map<string, string> {
  const { clusters } = fleet;
  const leaves = clusters.filter(({ role }) => role === 'leaf');
  return new Map([
    ['router.yaml', yaml(routerValues(fleet))],
    [
      'nats-hub.yaml',
      yaml(
        accounts(Object.values(hubUsers(fleet)), hubPlace, {
          jetstream: 'enabled',
          mappings: hubMappings(fleet),
        }),
      ),
    ],
    ...leaves.map(({ name }): [string, string] => [
      `nats-leaf-${name}.yaml`,
      yaml(accounts(Object.values(agentUsers(namesAt(targetsOf(fleet), name))), name, {})),
    ]),
  ]);
}

function routerValues(fleet: Fleet) {
  const targets = targetsOf(fleet);
  return {
    clusters: targets.map(({ name }) => name),
    seeds: {
      policy: {
        v: 1,
        strategy: 'cost',
        scaling: { nodesMax: Object.fromEntries(targets.map(({ name, nodesMax }) => [name, nodesMax])) },
      },
      prices: Object.fromEntries(targets.map(({ name, price }) => [name, { v: 1, ...price }])),
    },
  };
}

/** Its system account tells Drover's which connections have ended. @param place where the server stands */
const accounts = (users: readonly object[], place: string, more: object) => ({
  config: {
    merge: {
      accounts: {
        [account]: { ...more, imports: departureImports(place), users },
        [systemAccount]: { exports: departureExports },
      },
      system_account: systemAccount,
    },
  },
});
