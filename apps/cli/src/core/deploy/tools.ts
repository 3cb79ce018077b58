import type { Action, Command, Paths } from './types.ts';

/** Pure. How each tool is called: always with the stack, cluster or context by name, never with what happens to be current. */

export const pulumi = (stack: string, [verb, ...rest]: readonly [string, ...string[]]): Command => ({
  argv: ['pulumi', verb, ...rest, '--stack', stack],
  cwd: 'infra',
});

export const kubeconfigFile = ({ folder }: Paths, name: string): string => `${folder}/${name}.kubeconfig`;

export const kubectl = (paths: Paths, cluster: string, args: readonly string[]): Command => ({
  argv: ['kubectl', '--kubeconfig', kubeconfigFile(paths, cluster), ...args],
});

/** Talks to the hub's Kubernetes API with the operator's own login; Argo CD's server has no address outside. */
export const argocd = (paths: Paths, args: readonly string[]): Command => ({
  argv: ['argocd', '--core', ...args],
  env: { KUBECONFIG: kubeconfigFile(paths, 'argocd') },
});

/** What a command's text has until the stack tells where the registry is. */
export const registryOf = (cluster: string, part: 'prefix' | 'host' = 'prefix'): string =>
  `<registry ${part} of ${cluster}>`;

/** Pure. Puts what the stack has told into the places of `registryOf`. */
export function withRegistries(text: string, registries: Readonly<Record<string, string>>): string {
  return text.replaceAll(/<registry (prefix|host) of ([a-z0-9-]+)>/g, (whole, part, cluster) => {
    const registry = registries[cluster];
    if (registry === undefined) return whole;
    return part === 'host' ? (registry.split('/')[0] ?? registry) : registry;
  });
}

export type Authority = { readonly name: string; readonly path: string };
export const authorityOf = ({ folder }: Paths): Authority => ({
  name: 'ca.crt',
  path: `${folder}/ca.crt`,
});

/** Commands of `drover` with the operator's key, at the hub's NATS; its certificate names `localhost` too. */
export const atHub = (
  paths: Paths,
  hub: string,
  commands: readonly (readonly string[])[],
): Action & { kind: 'at-hub' } => ({
  kind: 'at-hub',
  forward: kubectl(paths, hub, ['-n', 'nats', 'port-forward', 'service/nats', '14222:4222']),
  env: {
    NATS_URL: 'tls://localhost:14222',
    NATS_CA_FILE: authorityOf(paths).path,
    NATS_NKEY_FILE: `${paths.folder}/keys/operator.nk`,
  },
  commands,
});
