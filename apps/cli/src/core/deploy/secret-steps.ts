import { gpuCluster } from '@drover/schemas';
import { type Cluster, type Facts, hasGpu, targetsIn } from './facts.ts';
import { names } from './names.ts';
import { kubectl } from './tools.ts';
import type { Paths, Resource, Source, Step } from './types.ts';

/** Roles of the hub's NATS that are no cluster's. */
const hubRoles = ['admin', 'ingress', 'scheduler', 'operator', 'prices'] as const;
const firstTenant = 'default';

/** An nkey for the agents of each cluster, and one for those on its accelerated nodes. */
const agentsOf = (cluster: Cluster): string[] => targetsIn(cluster).map((name) => `agent-${name}`);

const nkeysOf = ({ clusters: all, leaves }: Facts): string[] => [
  ...hubRoles,
  ...all.flatMap(agentsOf),
  ...leaves.map(({ name }) => `leaf-${name}`),
];

export const keys = (facts: Facts, { folder }: Paths): Step => ({
  name: 'keys',
  title: 'Keys: an nkey for every process, the first API key, a password',
  why: `Each process has an nkey of its own; the hub gets the public halves only. They are made here, once, in ${folder}: keep a copy, and keep it to yourself.`,
  needs: [],
  cost: 'nothing',
  undo: `delete ${folder}/keys, and the secrets in the clusters with it`,
  actions: [{ kind: 'make-secrets', nkeys: nkeysOf(facts), tenant: firstTenant }],
});

export const namespaces = ({ clusters: all }: Facts, paths: Paths): Step => ({
  name: 'namespaces',
  title: 'Namespaces, before what goes into them',
  why: 'Secrets have to be there when the first pod starts. Argo CD takes the namespaces over as they are.',
  needs: ['kubeconfigs'],
  cost: 'nothing',
  undo: 'drover undeploy',
  actions: all.map(({ name }) => ({
    kind: 'run',
    command: kubectl(paths, name, [
      'apply',
      '--server-side',
      '--field-manager=drover',
      '-k',
      'argocd/cluster',
    ]),
    doneIf: kubectl(paths, name, [
      ...['get', 'namespace', names.namespace, names.nats, names.monitoring, names.externalDns],
    ]),
  })),
});

/** `aws-us-east-1` → `NKEY_AGENT_AWS_US_EAST_1`, as argocd/src/accounts.ts names them. */
const keyVariable = (role: string): string => `NKEY_${role.toUpperCase().replaceAll('-', '_')}`;
const seed = (role: string): Source => ({ file: `keys/${role}.nk` });
const publicKeys = (roles: readonly string[]): Record<string, Source> =>
  Object.fromEntries(roles.map((role) => [keyVariable(role), { publicKeyOf: `keys/${role}.nk` }]));

/** Pure. Every Secret and ConfigMap that a person has to make; Argo CD makes the rest. */
export function resourcesOf({ hub, leaves }: Facts): Resource[] {
  const secret = (
    cluster: string,
    namespace: string,
    name: string,
    entries: Resource['entries'],
  ): Resource => ({
    kind: 'Secret',
    cluster,
    namespace,
    name,
    entries,
  });
  const agentSecret = (cluster: Cluster, called: string, target: string): Resource =>
    secret(cluster.name, names.namespace, called, { seed: seed(`agent-${target}`) });
  const agentSecrets = (cluster: Cluster): Resource[] => [
    agentSecret(cluster, names.agentKey, cluster.name),
    ...(hasGpu(cluster) ? [agentSecret(cluster, names.agentGpuKey, gpuCluster(cluster.name))] : []),
  ];
  const keysAt = (cluster: string, roles: readonly string[]): Resource => ({
    kind: 'ConfigMap',
    cluster,
    namespace: names.nats,
    name: names.publicKeys,
    entries: publicKeys(roles),
  });
  const password: Record<string, Source> = {
    username: { text: 'leaf' },
    password: { file: 'keys/hub-prometheus' },
  };
  return [
    ...(['admin', 'ingress', 'scheduler', 'prices'] as const).map((role) =>
      secret(hub.name, names.namespace, `drover-${role}-nkey`, { seed: seed(role) }),
    ),
    ...agentSecrets(hub),
    secret(hub.name, names.namespace, names.apiKeys, { 'api-keys.json': { file: 'keys/api-keys.json' } }),
    keysAt(hub.name, [...hubRoles, ...agentsOf(hub), ...leaves.map(({ name }) => `leaf-${name}`)]),
    // No secret: who external-dns is, its service account says.
    ...(hub.cloud === 'azure'
      ? [
          secret(hub.name, names.externalDns, names.azureConfig, {
            'azure.json': { stackOutput: 'dnsConfig' },
          }),
        ]
      : []),
    ...(leaves.length === 0
      ? []
      : [
          secret(hub.name, names.monitoring, names.prometheus, {
            auth: { htpasswdOf: 'keys/hub-prometheus', user: 'leaf' },
          }),
        ]),
    ...leaves.flatMap((leaf) => [
      ...agentSecrets(leaf),
      secret(leaf.name, names.nats, names.leafKey, { seed: seed(`leaf-${leaf.name}`) }),
      keysAt(leaf.name, agentsOf(leaf)),
      secret(leaf.name, names.namespace, names.prometheus, password),
      secret(leaf.name, names.monitoring, names.prometheus, password),
    ]),
  ];
}

export const secrets = (facts: Facts): Step => ({
  name: 'secrets',
  title: 'Secrets in the clusters',
  why: 'Seeds go to their owners, public keys to NATS, hashes of API keys to the ingress. They travel over kubectl’s standard input, never as arguments.',
  needs: ['keys', 'namespaces'],
  cost: 'nothing',
  undo: 'kubectl delete secret …; drover undeploy',
  actions: resourcesOf(facts).map((resource) => ({ kind: 'apply', resource })),
});
