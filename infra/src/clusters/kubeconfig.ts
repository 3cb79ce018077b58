import { all, type Output, secret } from '@pulumi/pulumi';

/** The command that fetches a short-lived token with the operator's own login; no credential is in the file. */
export type Login = { readonly command: string; readonly args: readonly string[] };

/**
 * A kubeconfig for one cluster, as JSON (which is YAML). Always a secret.
 * @param certificateAuthority PEM in base64
 */
export function kubeconfigOf(
  name: string,
  server: Output<string>,
  certificateAuthority: Output<string>,
  login: Output<Login>,
): Output<string> {
  const text = all([server, certificateAuthority, login]).apply(([url, authority, { command, args }]) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': name,
      clusters: [{ name, cluster: { server: url, 'certificate-authority-data': authority } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      users: [
        {
          name,
          user: {
            exec: {
              apiVersion: 'client.authentication.k8s.io/v1beta1',
              command,
              args,
              interactiveMode: 'Never',
              provideClusterInfo: true,
            },
          },
        },
      ],
    }),
  );
  return secret(text);
}
