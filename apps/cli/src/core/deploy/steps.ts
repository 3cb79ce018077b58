import { usd } from '../words.ts';
import type { Cluster, Facts } from './facts.ts';
import { prerequisites } from './prerequisites.ts';
import {
  type Authority,
  argocd,
  atHub,
  authorityOf,
  kubeconfigFile,
  kubectl,
  pulumi,
  registryOf,
} from './tools.ts';
import type { Action, Command, Paths, Plan, Resource, Source, Step } from './types.ts';

/** The chart `charts/router` and the values of `argocd/platform` name these. */
const names = {
  namespace: 'drover',
  nats: 'nats',
  monitoring: 'monitoring',
  argocd: 'argocd',
  agentKey: 'drover-agent-nkey',
  publicKeys: 'nats-public-keys',
  leafKey: 'nats-leaf-nkey',
  apiKeys: 'drover-api-keys',
  authority: 'nats-ca',
  clientTls: 'nats-client-tls',
  prometheus: 'hub-prometheus',
} as const;

/** Roles of the hub's NATS that are no cluster's. */
const hubRoles = ['admin', 'ingress', 'scheduler', 'operator', 'prices'] as const;
const firstTenant = 'default';

/** Pure. What a deployment takes, in order. Nothing in it is a secret. */
export function deployPlan(facts: Facts, paths: Paths): Plan {
  const authority = authorityOf(paths);
  return {
    environment: facts.environment,
    prerequisites: prerequisites(facts),
    steps: [
      packages(),
      stack(facts),
      preview(facts),
      clusters(facts),
      kubeconfigs(facts, paths),
      images(facts),
      delegation(facts),
      keys(facts, paths),
      namespaces(facts, paths),
      secrets(facts, paths),
      root(facts, paths),
      certificates(facts, paths, authority),
      healthy(facts, paths),
      token(facts, paths),
      doctor(facts, paths),
    ],
  };
}

const packages = (): Step => ({
  name: 'packages',
  title: "The SDKs that infra's program needs",
  why: 'infra/ is no workspace: only those who deploy need the clouds’ SDKs.',
  needs: [],
  cost: 'nothing',
  undo: 'delete infra/node_modules',
  actions: [
    {
      kind: 'run',
      command: { argv: ['npm', 'ci', '--no-audit', '--no-fund'], cwd: 'infra' },
      doneIf: { argv: ['npm', 'ls', '--depth=0', '--silent'], cwd: 'infra' },
    },
  ],
});

const stack = ({ environment }: Facts): Step => ({
  name: 'stack',
  title: `The Pulumi stack ${environment}`,
  why: `It keeps what was made. Its configuration is infra/Pulumi.${environment}.yaml.`,
  needs: ['packages'],
  cost: 'nothing',
  undo: `pulumi stack rm ${environment}, once it is empty`,
  actions: [
    {
      kind: 'run',
      command: { argv: ['pulumi', 'stack', 'init', environment, '--non-interactive'], cwd: 'infra' },
      doneIf: { argv: ['pulumi', 'stack', 'select', environment, '--non-interactive'], cwd: 'infra' },
    },
  ],
});

const preview = ({ environment }: Facts): Step => ({
  name: 'preview',
  title: 'What would change in the clouds',
  why: 'Read it before you go on. It changes nothing, and finds most of what is wrong with a configuration.',
  needs: ['stack'],
  cost: 'nothing',
  undo: 'nothing to undo',
  actions: [
    {
      kind: 'run',
      command: pulumi(environment, ['preview', '--non-interactive']),
      doneIf: unchanged(environment),
    },
  ],
});

const unchanged = (environment: string): Command =>
  pulumi(environment, ['preview', '--expect-no-changes', '--non-interactive']);

function clusters(facts: Facts): Step {
  const { environment } = facts;
  return {
    name: 'clusters',
    title: `Networks, clusters, registries, the zone ${facts.domain}, Argo CD`,
    why: 'Everything in the clouds, by one program; Argo CD is installed, and each cluster registered with it.',
    needs: ['preview'],
    cost: costOfNodes(facts),
    undo: `drover undeploy <cloud> --env ${environment}`,
    actions: [
      {
        kind: 'run',
        command: pulumi(environment, ['up', '--yes', '--non-interactive']),
        doneIf: unchanged(environment),
      },
    ],
  };
}

/** Of the nodes that are always there. Spot nodes come and go with the work. */
function costOfNodes({ clusters: all, prices }: Facts): string {
  const parts = all.map(({ name, pools, role }) => {
    const { machine, nodes } = pools.system;
    const price = prices.get(name);
    if (machine !== undefined || price === undefined)
      return { text: `${nodes} × ${machine ?? 'system node'} at ${name} (no price here)`, usd: 0 };
    const each = usd(price.usdPerHour);
    return { text: `${nodes} × ${each} for ${name} (${role})`, usd: nodes * price.usdPerHour };
  });
  const sum = parts.reduce((total, part) => total + part.usd, 0);
  return (
    `${usd(sum)}/h, quoted in argocd/environments/*/fleet.json: ${parts.map(({ text }) => text).join(', ')}; ` +
    'control planes, gateways, balancers and disks not included'
  );
}

const kubeconfigs = ({ environment, clusters: all, hub }: Facts, paths: Paths): Step => ({
  name: 'kubeconfigs',
  title: 'A kubeconfig for each cluster',
  why: `Every later step names one of them, so that no other cluster is touched. They hold a login command, no credential.`,
  needs: ['clusters'],
  cost: 'nothing',
  undo: `delete ${paths.folder}`,
  actions: [
    {
      kind: 'kubeconfigs',
      command: pulumi(environment, ['stack', 'output', 'kubeconfigs', '--show-secrets', '--json']),
      clusters: all.map(({ name }) => name),
      hub: hub.name,
    },
    ...all.map(
      ({ name }): Action => ({
        kind: 'run',
        command: kubectl(paths, name, ['get', '--raw', '/readyz']),
      }),
    ),
  ],
});

const ownerOf = (repository: string): string => new URL(repository).pathname.split('/')[1] ?? '';

/** Argo CD names images in the cluster's own registry; the pipeline pushes to GitHub's. */
function images({ clusters: all, digests, repository }: Facts): Step {
  const source = `ghcr.io/${ownerOf(repository).toLowerCase()}`;
  return {
    name: 'images',
    title: 'Images, in the registry of each cluster',
    why: 'Nodes pull from their own cloud’s registry; the digests stay the same, and charts take nothing else.',
    needs: ['clusters'],
    cost: 'storage in the registries: not sourced',
    undo: 'drover undeploy takes the registries away',
    actions: all.flatMap((cluster) => {
      const apps =
        cluster.role === 'hub' ? (['ingress', 'scheduler', 'agent'] as const) : (['agent'] as const);
      const registry = registryOf(cluster.name);
      return [
        loginToRegistry(cluster),
        ...apps.map((app): Action => {
          const digest = digests[app] || `<digest of ${app}>`;
          return {
            kind: 'run',
            command: {
              argv: [
                ...(['crane', 'copy', `${source}/${app}@${digest}`] as const),
                `${registry}/${app}:${digest.replace(':', '-').slice(0, 23)}`,
              ],
            },
            doneIf: { argv: ['crane', 'digest', `${registry}/${app}@${digest}`] },
          };
        }),
      ];
    }),
  };
}

/** A password of some hours, from the cloud's own login straight into crane. */
function loginToRegistry(cluster: Cluster): Action {
  const host = registryOf(cluster.name, 'host');
  const to = (user: string): Command => ({
    argv: ['crane', 'auth', 'login', host, '--username', user, '--password-stdin'],
  });
  switch (cluster.cloud) {
    case 'aws':
      return {
        kind: 'pipe',
        from: { argv: ['aws', 'ecr', 'get-login-password', '--region', cluster.region] },
        to: to('AWS'),
      };
    case 'gcp':
      return {
        kind: 'pipe',
        from: { argv: ['gcloud', 'auth', 'print-access-token'] },
        to: to('oauth2accesstoken'),
      };
    case 'azure':
      return {
        kind: 'pipe',
        from: {
          argv: [
            ...(['az', 'acr', 'login', '--expose-token', '--name', host] as const),
            ...['--query', 'accessToken', '--output', 'tsv'],
          ],
        },
        to: to('00000000-0000-0000-0000-000000000000'),
      };
    default:
      return cluster satisfies never;
  }
}

const delegation = ({ environment, domain }: Facts): Step => ({
  name: 'delegation',
  title: `The parent zone hands ${domain} to the stack's name servers`,
  why: 'Certificates, the API’s name and the leaves’ way in are names below it. Only the owner of the parent zone can do this.',
  needs: ['clusters'],
  cost: 'nothing',
  undo: 'take the NS record out of the parent zone',
  actions: [
    {
      kind: 'delegation',
      domain,
      nameServers: pulumi(environment, ['stack', 'output', 'nameServers', '--json']),
    },
  ],
});

const nkeysOf = ({ clusters: all, leaves }: Facts): string[] => [
  ...hubRoles,
  ...all.map(({ name }) => `agent-${name}`),
  ...leaves.map(({ name }) => `leaf-${name}`),
];

const keys = (facts: Facts, { folder }: Paths): Step => ({
  name: 'keys',
  title: 'Keys: an nkey for every process, the first API key, a password',
  why: `Each process has an nkey of its own; the hub gets the public halves only. They are made here, once, in ${folder}: keep a copy, and keep it to yourself.`,
  needs: [],
  cost: 'nothing',
  undo: `delete ${folder}/keys, and the secrets in the clusters with it`,
  actions: [{ kind: 'make-secrets', nkeys: nkeysOf(facts), tenant: firstTenant }],
});

const namespaces = ({ clusters: all }: Facts, paths: Paths): Step => ({
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
    doneIf: kubectl(paths, name, ['get', 'namespace', names.namespace, names.nats, names.monitoring]),
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
    secret(hub.name, names.namespace, names.agentKey, { seed: seed(`agent-${hub.name}`) }),
    secret(hub.name, names.namespace, names.apiKeys, { 'api-keys.json': { file: 'keys/api-keys.json' } }),
    keysAt(hub.name, [...hubRoles, `agent-${hub.name}`, ...leaves.map(({ name }) => `leaf-${name}`)]),
    ...(leaves.length === 0
      ? []
      : [
          secret(hub.name, names.monitoring, names.prometheus, {
            auth: { htpasswdOf: 'keys/hub-prometheus', user: 'leaf' },
          }),
        ]),
    ...leaves.flatMap(({ name }) => [
      secret(name, names.namespace, names.agentKey, { seed: seed(`agent-${name}`) }),
      secret(name, names.nats, names.leafKey, { seed: seed(`leaf-${name}`) }),
      keysAt(name, [`agent-${name}`]),
      secret(name, names.namespace, names.prometheus, password),
      secret(name, names.monitoring, names.prometheus, password),
    ]),
  ];
}

const secrets = (facts: Facts, _paths: Paths): Step => ({
  name: 'secrets',
  title: 'Secrets in the clusters',
  why: 'Seeds go to their owners, public keys to NATS, hashes of API keys to the ingress. They travel over kubectl’s standard input, never as arguments.',
  needs: ['keys', 'namespaces'],
  cost: 'nothing',
  undo: 'kubectl delete secret …; drover undeploy',
  actions: resourcesOf(facts).map((resource) => ({ kind: 'apply', resource })),
});

const root = (
  { environment, clusters: all, hub, root: { repository, revision } }: Facts,
  paths: Paths,
): Step => {
  const files = ['-f', 'argocd/root/project.yaml', '-f', `argocd/root/${environment}.yaml`];
  return {
    name: 'root',
    title: 'The one Application that makes all others',
    why: `Argo CD reads ${repository} at ${revision}, not this folder: push first.`,
    needs: ['secrets', 'images'],
    cost: 'two load balancers (the API’s, and one for leaf nodes), disks of NATS and Prometheus: not sourced',
    undo: 'drover undeploy',
    actions: [
      ...all.map(
        ({ name }): Action => ({
          kind: 'run',
          command: kubectl(paths, hub.name, ['-n', names.argocd, 'get', 'secret', `cluster-${name}`]),
        }),
      ),
      {
        kind: 'run',
        command: kubectl(paths, hub.name, ['apply', ...files]),
        doneIf: kubectl(paths, hub.name, ['diff', ...files]),
      },
    ],
  };
};

function certificates({ hub, leaves, clusters: all }: Facts, paths: Paths, authority: Authority): Step {
  const made: Resource = {
    kind: 'Secret',
    cluster: hub.name,
    namespace: names.nats,
    name: names.authority,
    entries: {},
  };
  const trusted = (cluster: string): Action => ({
    kind: 'copy',
    from: made,
    to: {
      ...made,
      cluster,
      namespace: names.namespace,
      name: names.clientTls,
      entries: { 'ca.crt': { text: '' } },
    },
    file: authority.name,
  });
  const whole = (cluster: string): Action => ({
    kind: 'copy',
    from: made,
    to: {
      ...made,
      cluster,
      type: 'kubernetes.io/tls',
      entries: { 'tls.crt': { text: '' }, 'tls.key': { text: '' }, 'ca.crt': { text: '' } },
    },
  });
  return {
    name: 'certificates',
    title: 'The authority of NATS, to those who must trust it',
    why: 'cert-manager makes it on the hub. Clients get its certificate; leaves get its key too, to make their own server’s.',
    needs: ['root'],
    cost: 'nothing',
    undo: 'kubectl delete secret nats-client-tls; drover undeploy',
    actions: [
      {
        kind: 'run',
        command: kubectl(paths, hub.name, [
          ...['-n', names.nats, 'wait', '--for=create'],
          ...[`secret/${names.authority}`, '--timeout=1800s'],
        ]),
      },
      ...all.map(({ name }) => trusted(name)),
      ...leaves.map(({ name }) => whole(name)),
    ],
  };
}

const healthy = (_facts: Facts, paths: Paths): Step => ({
  name: 'healthy',
  title: 'Everything is in sync and healthy',
  why: 'Argo CD works through its waves: platform, NATS, router, llm-server. llm-server is healthy at zero nodes.',
  needs: ['certificates', 'delegation'],
  cost: 'nothing more',
  undo: 'nothing to undo',
  actions: [
    {
      kind: 'run',
      command: argocd(paths, [
        'app',
        'wait',
        '-l',
        'drover.dev/app',
        '--sync',
        '--health',
        '--timeout',
        '1800',
      ]),
    },
  ],
});

const token = ({ domain }: Facts, _paths: Paths): Step => ({
  name: 'token',
  title: 'The first token',
  why: 'A prompt through the API: queue, decision, a node from zero, the model, and back.',
  needs: ['healthy'],
  cost: 'one spot node while there is work, and some minutes after',
  undo: 'nothing to undo: the node goes by itself',
  actions: [{ kind: 'first-token', url: `https://api.${domain}`, keyFile: 'keys/api-key' }],
});

const doctor = ({ hub }: Facts, paths: Paths): Step => ({
  name: 'doctor',
  title: 'Streams, rights, clocks, prices and agents',
  why: 'What drover doctor checks, over a forwarded port of the hub’s NATS.',
  needs: ['healthy'],
  cost: 'nothing',
  undo: 'nothing to undo',
  actions: [atHub(paths, hub.name, [['doctor']])],
});

export { kubeconfigFile, names as deployedNames };
