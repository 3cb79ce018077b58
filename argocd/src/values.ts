import { account, departureExports, departureImports, hubPlace, systemAccount } from '@drover/schemas';
import { stringify } from 'yaml';
import { hubMappings, hubUsers, leafUsers } from './accounts.ts';
import type { Fleet } from './fleet.ts';

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
      yaml(accounts(Object.values(leafUsers(name)), name, {})),
    ]),
  ]);
}

const routerValues = ({ clusters }: Fleet) => ({
  clusters: clusters.map(({ name }) => name),
  seeds: {
    policy: {
      v: 1,
      strategy: 'cost',
      scaling: { nodesMax: Object.fromEntries(clusters.map(({ name, nodesMax }) => [name, nodesMax])) },
    },
    prices: Object.fromEntries(clusters.map(({ name, price }) => [name, { v: 1, ...price }])),
  },
});

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
