/** The chart `charts/router` and the values of `argocd/platform` name these. */
export const names = {
  namespace: 'drover',
  nats: 'nats',
  monitoring: 'monitoring',
  argocd: 'argocd',
  externalDns: 'external-dns',
  agentKey: 'drover-agent-nkey',
  agentGpuKey: 'drover-agent-gpu-nkey',
  publicKeys: 'nats-public-keys',
  leafKey: 'nats-leaf-nkey',
  apiKeys: 'drover-api-keys',
  authority: 'nats-ca',
  clientTls: 'nats-client-tls',
  prometheus: 'hub-prometheus',
  azureConfig: 'external-dns-azure',
} as const;
