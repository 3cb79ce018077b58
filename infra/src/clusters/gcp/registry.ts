import { Repository } from '@pulumi/gcp/artifactregistry/repository.js';
import { RepositoryIamMember } from '@pulumi/gcp/artifactregistry/repositoryIamMember.js';
import type { Account } from '@pulumi/gcp/serviceaccount/account.js';
import { interpolate, type Output } from '@pulumi/pulumi';
import type { GcpNetwork } from './network.ts';
import type { GcpScope } from './scope.ts';

/** One repository for all images, which the nodes may read. @returns what the images' names begin with */
export function gcpRegistry(
  { name, labels, opts, site }: GcpScope,
  { network }: GcpNetwork,
  account: Account,
): Output<string> {
  const { project, region } = site.config;
  const repository = new Repository(
    name('gar'),
    {
      repositoryId: name('gar'),
      project,
      location: region,
      format: 'DOCKER',
      dockerConfig: { immutableTags: true },
      labels,
    },
    // After the network, because that enables the APIs.
    { ...opts, dependsOn: [network] },
  );
  new RepositoryIamMember(
    `${name('gar')}-nodes`,
    {
      project,
      location: region,
      repository: repository.name,
      role: 'roles/artifactregistry.reader',
      member: account.member,
    },
    opts,
  );
  return interpolate`${region}-docker.pkg.dev/${project}/${repository.repositoryId}`;
}
