import { Secret } from '@pulumi/kubernetes/core/v1/secret.js';
import { ServiceAccount } from '@pulumi/kubernetes/core/v1/serviceAccount.js';
import { ClusterRoleBinding } from '@pulumi/kubernetes/rbac/v1/clusterRoleBinding.js';
import { all, type Output, output, secret } from '@pulumi/pulumi';
import { registrationAnnotations, registrationLabels } from '../spec.ts';
import type { ArgoCd } from './argocd.ts';
import type { Target } from './target.ts';

/** What Argo CD needs to call a cluster. */
type Access = { readonly server: Output<string>; readonly config: Output<string> };

/** The cluster that Argo CD runs on. */
const inCluster: Access = {
  server: output('https://kubernetes.default.svc'),
  config: secret(JSON.stringify({ tlsClientConfig: { insecure: false } })),
};

const manager = { name: 'argocd-manager', namespace: 'kube-system' } as const;

/**
 * A service account on a leaf, for Argo CD on the hub. Its token does not expire: the clouds do not trust each other's
 * identities for their Kubernetes APIs. What bounds it is that the API admits the hub's addresses only; it is replaced
 * by deleting its Secret.
 */
function leafAccess({ cluster, labels, opts }: Target): Access {
  const account = new ServiceAccount(
    `${cluster.name}-argocd-manager`,
    { metadata: { ...manager, labels: { ...labels } } },
    opts,
  );
  new ClusterRoleBinding(
    `${cluster.name}-argocd-manager`,
    {
      metadata: { name: manager.name, labels: { ...labels } },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', ...manager }],
    },
    { ...opts, dependsOn: [account] },
  );
  const credential = new Secret(
    `${cluster.name}-argocd-manager`,
    {
      metadata: {
        ...manager,
        labels: { ...labels },
        annotations: { 'kubernetes.io/service-account.name': manager.name },
      },
      type: 'kubernetes.io/service-account-token',
    },
    { ...opts, dependsOn: [account], additionalSecretOutputs: ['data'] },
  );
  const config = all([credential.data, cluster.certificateAuthority]).apply(([data, caData]) =>
    JSON.stringify({
      bearerToken: Buffer.from(data.token ?? '', 'base64').toString('utf8'),
      tlsClientConfig: { insecure: false, caData },
    }),
  );
  return { server: cluster.server, config: secret(config) };
}

export type Facts = {
  readonly env: string;
  readonly domain: string;
  /** Addresses of all leaves, on the hub's registration; empty on a leaf's. */
  readonly leafSources: Output<string[]>;
  /** Whether the cluster has a pool of accelerated nodes. */
  readonly gpu: boolean;
};

/** Makes a cluster known to Argo CD on the hub, with what ApplicationSets select by and hand on. */
export function register(hub: Target, { namespace }: ArgoCd, target: Target, facts: Facts): Secret {
  const { cluster, labels } = target;
  const access = cluster.role === 'hub' ? inCluster : leafAccess(target);
  const none = output('');
  return new Secret(
    `${cluster.name}-registration`,
    {
      metadata: {
        name: `cluster-${cluster.name}`,
        namespace: namespace.metadata.name,
        labels: {
          ...labels,
          'argocd.argoproj.io/secret-type': 'cluster',
          [registrationLabels.cloud]: cluster.cloud,
          [registrationLabels.env]: facts.env,
          [registrationLabels.region]: cluster.region,
          [registrationLabels.role]: cluster.role,
          ...(facts.gpu && { [registrationLabels.gpu]: 'true' }),
        },
        annotations: {
          [registrationAnnotations.cluster]: cluster.name,
          [registrationAnnotations.domain]: facts.domain,
          [registrationAnnotations.registry]: cluster.registry,
          [registrationAnnotations.leafSources]: facts.leafSources.apply((cidrs) => cidrs.join(',')),
          [registrationAnnotations.dnsIdentity]: cluster.dns?.identity ?? none,
          [registrationAnnotations.dnsScope]: cluster.dns?.scope ?? none,
        },
      },
      stringData: { name: cluster.name, server: access.server, config: access.config },
    },
    { ...hub.opts, additionalSecretOutputs: ['stringData', 'data'] },
  );
}
