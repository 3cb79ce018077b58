import { Release } from '@pulumi/kubernetes/helm/v3/release.js';
import { nodeLabels, poolLabel, taintsMet } from '../spec.ts';
import { charts } from './charts.ts';
import { onSystemPool, type Target } from './target.ts';

/** Brings nodes of an EKS cluster when pods wait, from zero, and takes idle ones away. GKE and AKS have their own. */
export function autoscaler({ cluster, opts }: Target, clusterName: string): Release {
  const { chart, version, repo } = charts.autoscaler;
  return new Release(
    `${cluster.name}-autoscaler`,
    {
      name: 'cluster-autoscaler',
      chart,
      version,
      repositoryOpts: { repo },
      namespace: 'kube-system',
      values: {
        autoDiscovery: { clusterName },
        awsRegion: cluster.region,
        rbac: { serviceAccount: { name: 'cluster-autoscaler' } },
        nodeSelector: onSystemPool,
        extraArgs: {
          'balance-similar-node-groups': true,
          'skip-nodes-with-system-pods': false,
          'scale-down-unneeded-time': '5m',
        },
      },
    },
    opts,
  );
}

const onGpu = {
  matchExpressions: [{ key: poolLabel, operator: 'In', values: [nodeLabels.gpu[poolLabel]] }],
};

/** Tells Kubernetes of the accelerators on EKS and AKS. GKE brings its own. */
export function devicePlugin({ cluster, opts }: Target): Release {
  const { chart, version, repo } = charts.devicePlugin;
  return new Release(
    `${cluster.name}-device-plugin`,
    {
      name: 'nvidia-device-plugin',
      chart,
      version,
      repositoryOpts: { repo },
      namespace: 'kube-system',
      values: {
        // In place of the chart's own terms, which ask for labels of a feature discovery that is not here.
        affinity: {
          nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [onGpu] } },
        },
        tolerations: taintsMet(cluster.cloud, 'gpu').map((taint) => ({ ...taint, operator: 'Equal' })),
      },
    },
    opts,
  );
}
