import { usd } from '../words.ts';
import type { Cluster, Facts } from './facts.ts';
import { kubectl, pulumi, registryOf } from './tools.ts';
import type { Action, Command, Paths, Step } from './types.ts';

export const packages = (): Step => ({
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

export const stack = ({ environment }: Facts): Step => ({
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

export const preview = ({ environment }: Facts): Step => ({
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

export function clusters(facts: Facts): Step {
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

export const kubeconfigs = ({ environment, clusters: all, hub }: Facts, paths: Paths): Step => ({
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
export function images({ clusters: all, digests, repository }: Facts): Step {
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
        cluster.role === 'hub'
          ? (['ingress', 'scheduler', 'prices', 'agent'] as const)
          : (['agent'] as const);
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

export const delegation = ({ environment, domain }: Facts): Step => ({
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
