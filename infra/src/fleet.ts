import { Provider as AwsProvider } from '@pulumi/aws/provider.js';
import { Provider as AzureProvider } from '@pulumi/azure-native/provider.js';
import { Provider as GcpProvider } from '@pulumi/gcp/provider.js';
import { all, ComponentResource, type Output, output, type ProviderResource } from '@pulumi/pulumi';
import { aws } from './clusters/aws.ts';
import { azure } from './clusters/azure.ts';
import { gcp } from './clusters/gcp.ts';
import type { Cluster, Foundation, Site } from './clusters/types.ts';
import type { ClusterConfig, Config } from './config.ts';
import { argocd, repositoryCredential } from './kubernetes/argocd.ts';
import { autoscaler, devicePlugin } from './kubernetes/nodes.ts';
import { register } from './kubernetes/registration.ts';
import { type Target, targetOf } from './kubernetes/target.ts';
import { labelsOf, namer } from './naming.ts';

export type Secrets = { readonly repositoryToken: Output<string> | undefined };

/** What a stack tells, by the names of the clusters. */
export type FleetOutputs = {
  /** Secret. */
  readonly kubeconfigs: Output<Record<string, string>>;
  readonly issuers: Output<Record<string, string>>;
  readonly registries: Output<Record<string, string>>;
  /** The addresses that each cluster calls out from. */
  readonly egress: Output<Record<string, string[]>>;
  /** To be entered at the parent of the environment's zone. */
  readonly nameServers: Output<string[]>;
  /** `azure.json` for external-dns, without any secret; empty unless the hub is in Azure. */
  readonly dnsConfig: Output<string>;
};

type Planned = {
  readonly config: ClusterConfig;
  readonly labels: Readonly<Record<string, string>>;
  readonly parent: ComponentResource;
  readonly foundation: Foundation;
};

/** Makes all clusters of an environment: first every network, then the clusters, then what Argo CD needs. */
export function fleet(config: Config, secrets: Secrets): FleetOutputs {
  const planned = config.clusters.map((cluster) => plan(config, cluster));
  const hubEgress = egressOf(planned.filter((one) => one.config.role === 'hub'));
  const leaves = planned.filter((one) => one.config.role === 'leaf');
  // Never empty: a load balancer without source ranges admits everybody. A hub alone admits itself.
  const leafSources = leaves.length === 0 ? hubEgress : egressOf(leaves);
  const targets = planned.map((one) =>
    targetOf(one.foundation.build(adminsOf(one.config, hubEgress)), one.labels, one.parent),
  );
  const hub = targets.find(({ cluster }) => cluster.role === 'hub');
  if (hub === undefined) throw new Error('the configuration names a hub');
  for (const [index, target] of targets.entries()) equip(config, planned[index]?.config, target);
  bootstrap(config, secrets, hub, targets, leafSources);
  return outputsOf(planned, hub, targets);
}

function plan(config: Config, cluster: ClusterConfig): Planned {
  const { env, owner, domain, budgetEmails, budgetFrom } = config;
  const { name, cloud, region, role } = cluster;
  const labels = labelsOf({ env, owner, cluster: name, cloud, region, role });
  const parent = new ComponentResource(
    `drover:cluster:${cloud}`,
    name,
    {},
    { providers: [providerFor(cluster)] },
  );
  const site = {
    env,
    labels,
    parent,
    domain: role === 'hub' ? domain : undefined,
    budget: { emails: budgetEmails, from: budgetFrom },
  };
  return { config: cluster, labels, parent, foundation: foundationOf(cluster, site) };
}

/** The only place that knows which program belongs to which cloud. */
function foundationOf(config: ClusterConfig, site: Omit<Site<ClusterConfig>, 'config'>): Foundation {
  switch (config.cloud) {
    case 'aws':
      return aws({ ...site, config });
    case 'gcp':
      return gcp({ ...site, config });
    case 'azure':
      return azure({ ...site, config });
    default:
      return config satisfies never;
  }
}

/** Every cluster has a provider of its own, bound to one account: no default of the operator's machine gets in. */
function providerFor(config: ClusterConfig): ProviderResource {
  const called = `${config.name}-${config.cloud}`;
  switch (config.cloud) {
    case 'aws':
      return new AwsProvider(called, { region: config.region, allowedAccountIds: [config.accountId] });
    case 'gcp':
      return new GcpProvider(called, {
        project: config.project,
        region: config.region,
        // Budgets belong to the billing account; the calls are counted for this project.
        billingProject: config.project,
        userProjectOverride: true,
      });
    case 'azure':
      return new AzureProvider(called, {
        subscriptionId: config.subscriptionId,
        tenantId: config.tenantId,
        location: config.region,
      });
    default:
      return config satisfies never;
  }
}

const egressOf = (planned: readonly Planned[]): Output<string[]> =>
  all(planned.map(({ foundation }) => foundation.egress)).apply((lists) => lists.flat());

/** Who may call a cluster's API: the configured networks, and for a leaf Argo CD on the hub. */
const adminsOf = ({ api, role }: ClusterConfig, hubEgress: Output<string[]>): Output<string[]> => {
  if (api.access === 'private') return output([]);
  const { networks } = api;
  return role === 'hub'
    ? output([...networks])
    : hubEgress.apply((addresses) => [...new Set([...networks, ...addresses])]);
};

/** Puts on a cluster what its nodes need. */
function equip({ env }: Config, config: ClusterConfig | undefined, target: Target): void {
  const { name, cloud } = target.cluster;
  // The cluster's name in EKS, by which the autoscaler finds its groups.
  if (cloud === 'aws') autoscaler(target, namer('aws', env, name)('eks'));
  if (config?.pools.gpu !== undefined && cloud !== 'gcp') devicePlugin(target);
}

function bootstrap(
  config: Config,
  { repositoryToken }: Secrets,
  hub: Target,
  targets: readonly Target[],
  leafSources: Output<string[]>,
): void {
  const { env, domain } = config;
  const accelerated = new Set(
    config.clusters.filter(({ pools }) => pools.gpu !== undefined).map(({ name }) => name),
  );
  const argo = argocd(hub, domain);
  if (repositoryToken !== undefined) repositoryCredential(hub, argo, config.repository, repositoryToken);
  for (const target of targets) {
    const sources = target === hub ? leafSources : output([]);
    const gpu = accelerated.has(target.cluster.name);
    register(hub, argo, target, { env, domain, leafSources: sources, gpu });
  }
}

function outputsOf(planned: readonly Planned[], hub: Target, targets: readonly Target[]): FleetOutputs {
  const by = (pick: (cluster: Cluster) => Output<string>): Output<Record<string, string>> =>
    all(
      targets.map(({ cluster }) => pick(cluster).apply((value): [string, string] => [cluster.name, value])),
    ).apply((entries) => Object.fromEntries(entries));
  return {
    kubeconfigs: by(({ kubeconfig }) => kubeconfig),
    issuers: by(({ issuer }) => issuer),
    registries: by(({ registry }) => registry),
    egress: all(
      planned.map(({ config, foundation }) =>
        foundation.egress.apply((list): [string, string[]] => [config.name, list]),
      ),
    ).apply((entries) => Object.fromEntries(entries)),
    nameServers: hub.cluster.dns?.nameServers ?? output([]),
    dnsConfig: hub.cluster.dns?.config ?? output(''),
  };
}
