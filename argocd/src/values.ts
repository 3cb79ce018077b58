import { stringify } from 'yaml';
import { account, hubMappings, hubUsers, leafUsers } from './accounts.ts';
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
      yaml(accounts(Object.values(hubUsers(fleet)), { jetstream: 'enabled', mappings: hubMappings(fleet) })),
    ],
    ...leaves.map(({ name }): [string, string] => [
      `nats-leaf-${name}.yaml`,
      yaml(accounts(Object.values(leafUsers(name)), {})),
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

const accounts = (users: readonly object[], more: object) => ({
  config: { merge: { accounts: { [account]: { ...more, users }, SYS: {} }, system_account: 'SYS' } },
});
