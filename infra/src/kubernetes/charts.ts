/** Charts that make a cluster able to run the rest; Argo CD takes over from there. */
export const charts = {
  argocd: { chart: 'argo-cd', version: '9.4.17', repo: 'https://argoproj.github.io/argo-helm' },
  autoscaler: {
    chart: 'cluster-autoscaler',
    version: '9.46.6',
    repo: 'https://kubernetes.github.io/autoscaler',
  },
  devicePlugin: {
    chart: 'nvidia-device-plugin',
    version: '0.17.1',
    repo: 'https://nvidia.github.io/k8s-device-plugin',
  },
} as const;
