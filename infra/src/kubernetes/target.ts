import { Provider } from '@pulumi/kubernetes/provider.js';
import type { ComponentResource, Resource } from '@pulumi/pulumi';
import type { Cluster } from '../clusters/types.ts';
import { poolLabel } from '../spec.ts';

/** A cluster that things can be put on. */
export type Target = {
  readonly cluster: Cluster;
  /** Tags of the cluster, as labels of what is put there. */
  readonly labels: Readonly<Record<string, string>>;
  readonly opts: {
    readonly parent: ComponentResource;
    readonly provider: Provider;
    readonly dependsOn: Resource[];
  };
};

/** A provider of its own for each cluster; the kubeconfig of whoever runs Pulumi is never used. */
export function targetOf(
  cluster: Cluster,
  labels: Readonly<Record<string, string>>,
  parent: ComponentResource,
): Target {
  const provider = new Provider(
    `${cluster.name}-kubernetes`,
    { kubeconfig: cluster.kubeconfig, enableServerSideApply: true, suppressHelmHookWarnings: true },
    { parent },
  );
  return { cluster, labels, opts: { parent, provider, dependsOn: [...cluster.ready] } };
}

/** Where everything that is not a model runs. */
export const onSystemPool = { [poolLabel]: 'system' } as const;
