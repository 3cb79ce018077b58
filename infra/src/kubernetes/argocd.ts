import { Namespace } from '@pulumi/kubernetes/core/v1/namespace.js';
import { Secret } from '@pulumi/kubernetes/core/v1/secret.js';
import { Release } from '@pulumi/kubernetes/helm/v3/release.js';
import type { Output } from '@pulumi/pulumi';
import { charts } from './charts.ts';
import { onSystemPool, type Target } from './target.ts';

export type ArgoCd = { readonly namespace: Namespace; readonly release: Release };

/**
 * Argo CD on the hub. Nothing of it listens outside the cluster: operators reach it by `kubectl port-forward`, and
 * between its parts and to the operator it speaks TLS. Its root application is applied by an administrator, by hand: see
 * `argocd/root`.
 */
export function argocd({ cluster, labels, opts }: Target, domain: string): ArgoCd {
  const { chart, version, repo } = charts.argocd;
  const namespace = new Namespace(
    `${cluster.name}-argocd`,
    { metadata: { name: 'argocd', labels: { ...labels } } },
    opts,
  );
  const release = new Release(
    `${cluster.name}-argocd`,
    {
      name: 'argocd',
      chart,
      version,
      repositoryOpts: { repo },
      namespace: namespace.metadata.name,
      values: {
        global: { domain: `argocd.${domain}`, nodeSelector: onSystemPool },
        crds: { install: true, keep: true },
        configs: {
          cm: {
            'exec.enabled': false,
            'users.anonymous.enabled': false,
            'application.resourceTrackingMethod': 'annotation',
          },
          params: { 'server.insecure': false, 'applicationsetcontroller.policy': 'sync' },
        },
        server: { service: { type: 'ClusterIP' }, ingress: { enabled: false } },
        dex: { enabled: false },
        notifications: { enabled: false },
      },
    },
    { ...opts, dependsOn: [...opts.dependsOn, namespace] },
  );
  return { namespace, release };
}

/** Lets Argo CD read a private repository. @param token a secret */
export function repositoryCredential(
  { cluster, labels, opts }: Target,
  { namespace }: ArgoCd,
  repository: string,
  token: Output<string>,
): Secret {
  return new Secret(
    `${cluster.name}-repository`,
    {
      metadata: {
        name: 'drover-repository',
        namespace: namespace.metadata.name,
        labels: { ...labels, 'argocd.argoproj.io/secret-type': 'repository' },
      },
      stringData: { type: 'git', url: repository, username: 'git', password: token },
    },
    opts,
  );
}
