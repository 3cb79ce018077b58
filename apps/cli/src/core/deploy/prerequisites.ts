import { type Cloud, type Cluster, type Facts, line } from './facts.ts';
import type { Command, Prerequisite } from './types.ts';

/** Pure. Everything that a deployment needs before its first step, tools first. */
export function prerequisites(facts: Facts): Prerequisite[] {
  const used = new Set(facts.clusters.map(({ cloud }) => cloud));
  return [
    ...commonTools,
    ...[...used].flatMap((cloud) => cloudTools[cloud]),
    {
      name: 'login to Pulumi',
      code: 'missing_login',
      how: 'pulumi login (or pulumi login s3://… for a state of your own)',
      check: { kind: 'answers', command: { argv: ['pulumi', 'whoami'] } },
    },
    ...facts.clusters.map(login),
    ...configuration(facts),
  ];
}

const tool = (
  name: string,
  argv: Command['argv'],
  pattern: RegExp,
  least: string,
  how: string,
): Prerequisite => ({
  name,
  code: 'missing_tool',
  how,
  check: { kind: 'version', command: { argv }, pattern, least },
});

const commonTools: readonly Prerequisite[] = [
  tool(
    'pulumi',
    ['pulumi', 'version'],
    /v?(\d+\.\d+\.\d+)/,
    '3.100.0',
    'https://www.pulumi.com/docs/install/ makes the clusters',
  ),
  tool(
    'kubectl',
    ['kubectl', 'version', '--client'],
    /Client Version: v?(\d+\.\d+\.\d+)/,
    '1.31.0',
    'https://kubernetes.io/docs/tasks/tools/ (1.31 or later: it waits for what is not there yet)',
  ),
  tool(
    'argocd',
    ['argocd', 'version', '--client', '--short'],
    /v(\d+\.\d+\.\d+)/,
    '2.10.0',
    'https://argo-cd.readthedocs.io/en/stable/cli_installation/ tells when everything is in place',
  ),
  tool(
    'crane',
    ['crane', 'version'],
    /v?(\d+\.\d+\.\d+)/,
    '0.19.0',
    'go install github.com/google/go-containerregistry/cmd/crane@v0.20.2 copies images to the registries of the clouds',
  ),
];

const cloudTools: Readonly<Record<Cloud, readonly Prerequisite[]>> = {
  aws: [
    tool(
      'aws',
      ['aws', '--version'],
      /aws-cli\/(\d+\.\d+\.\d+)/,
      '2.0.0',
      'https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html',
    ),
  ],
  gcp: [
    tool(
      'gcloud',
      ['gcloud', 'version'],
      /Google Cloud SDK (\d+\.\d+\.\d+)/,
      '400.0.0',
      'https://cloud.google.com/sdk/docs/install',
    ),
    tool(
      'gke-gcloud-auth-plugin',
      ['gke-gcloud-auth-plugin', '--version'],
      /(\d+\.\d+\.\d+)/,
      '0.1.0',
      'gcloud components install gke-gcloud-auth-plugin',
    ),
  ],
  azure: [
    tool(
      'az',
      ['az', 'version'],
      /"azure-cli": "(\d+\.\d+\.\d+)"/,
      '2.50.0',
      'https://learn.microsoft.com/cli/azure/install-azure-cli',
    ),
    tool('kubelogin', ['kubelogin', '--version'], /v?(\d+\.\d+\.\d+)/, '0.1.0', 'az aks install-cli'),
  ],
};

/** Each asks a cloud who it takes us for, and reads nothing else. */
function login(cluster: Cluster): Prerequisite {
  const base = { name: `login to ${cluster.cloud} for ${cluster.name}`, code: 'missing_login' as const };
  switch (cluster.cloud) {
    case 'aws':
      return {
        ...base,
        how: `aws sso login (or AWS_PROFILE) for account ${cluster.accountId}, which infra/Pulumi.*.yaml names`,
        check: {
          kind: 'answers',
          command: { argv: ['aws', 'sts', 'get-caller-identity', '--query', 'Account', '--output', 'text'] },
          expected: cluster.accountId,
        },
      };
    case 'gcp':
      return {
        ...base,
        how: `gcloud auth login, gcloud auth application-default login; may read project ${cluster.project}`,
        check: {
          kind: 'answers',
          command: {
            argv: ['gcloud', 'projects', 'describe', cluster.project, '--format=value(projectNumber)'],
          },
          expected: cluster.projectNumber,
        },
      };
    case 'azure':
      return {
        ...base,
        how: `az login, with subscription ${cluster.subscriptionId}`,
        check: {
          kind: 'answers',
          command: {
            argv: [
              ...(['az', 'account', 'show', '--subscription'] as const),
              ...[cluster.subscriptionId, '--query', 'id', '--output', 'tsv'],
            ],
          },
          expected: cluster.subscriptionId,
        },
      };
    default:
      return cluster satisfies never;
  }
}

const known = (name: string, problem: string | undefined, how: string): Prerequisite => ({
  name,
  code: 'missing_configuration',
  how,
  check: { kind: 'known', problem },
});

/** Names and addresses that documentation may use, and nobody owns. */
const exampleName = /(^|[.@])(example(\.(com|net|org))?|[^.@]+\.(example|test|invalid))$/;
const exampleNetwork = /^(192\.0\.2|198\.51\.100|203\.0\.113)\./;

function configuration(facts: Facts): Prerequisite[] {
  const { environment, domain, repository, root, digests } = facts;
  const stack = `infra/Pulumi.${environment}.yaml`;
  const fleet = `argocd/environments/${environment}/fleet.json`;
  const ours = facts.clusters.map(line);
  const unlike = [
    ...ours.filter((one) => !facts.fleet.includes(one)),
    ...facts.fleet.filter((one) => !ours.includes(one)),
  ];
  const mails = facts.budgetEmails.filter((mail) => exampleName.test(mail));
  const networks = facts.clusters
    .flatMap(({ api }) => api.networks)
    .filter((network) => exampleNetwork.test(network));
  const missing = Object.entries(digests).flatMap(([name, digest]) => (digest === '' ? [name] : []));
  const says = (list: readonly string[], text: string) =>
    list.length === 0 ? undefined : `${[...new Set(list)].join(', ')} ${text}`;
  return [
    known(
      'domain',
      exampleName.test(domain) ? `${domain} is the example's` : undefined,
      `a domain of yours in ${stack}, drover:domain`,
    ),
    known(
      'budget mails',
      says(mails, 'reaches nobody'),
      `an address of yours in ${stack}, drover:budgetEmails`,
    ),
    known(
      'networks that may administer',
      says(networks, 'is a range of the documentation: nobody could call the Kubernetes API'),
      `the addresses that you call from in ${stack}, drover:clusters, api.networks`,
    ),
    known(
      'repository',
      repository === root.repository
        ? undefined
        : `${stack} names ${repository}, argocd/root/${environment}.yaml ${root.repository}`,
      'the address of your copy in both, and in argocd/base: docs/deploy.md, "Before the first time"',
    ),
    known(
      'fleet',
      says(unlike, `is only in one of ${stack} and ${fleet}`),
      'the same clusters in both, then npm run deploy:generate',
    ),
    known(
      'images',
      says(missing, `has no digest in argocd/environments/${environment}/images-*.yaml`),
      'the workflow Images builds them and opens a pull request with their digests',
    ),
  ];
}

/** Pure. Whether a version, as three numbers, is at least another. */
export function atLeast(version: string, least: string): boolean {
  const [a, b] = [version, least].map((text) => text.split('.').map(Number));
  for (const index of [0, 1, 2]) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
