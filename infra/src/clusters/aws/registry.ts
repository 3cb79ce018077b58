import { LifecyclePolicy } from '@pulumi/aws/ecr/lifecyclePolicy.js';
import { Repository } from '@pulumi/aws/ecr/repository.js';
import type { Output } from '@pulumi/pulumi';
import { images } from '../../spec.ts';
import type { AwsScope } from './scope.ts';

const keepLast = 30;

/** One repository per image. @returns what the images' names begin with */
export function awsRegistry({ name, tags, opts, site }: AwsScope): Output<string> {
  const repositories = images.map((image) => {
    const called = `${name('ecr')}/${image}`;
    const repository = new Repository(
      called,
      {
        name: called,
        imageTagMutability: 'IMMUTABLE',
        imageScanningConfiguration: { scanOnPush: true },
        encryptionConfigurations: [{ encryptionType: 'AES256' }],
        forceDelete: site.env === 'dev',
        tags: tags(called),
      },
      opts,
    );
    new LifecyclePolicy(`${called}-lifecycle`, { repository: repository.name, policy: lifecycle }, opts);
    return repository;
  });
  const [first] = repositories;
  if (first === undefined) throw new Error('there is an image');
  return first.repositoryUrl.apply((url) => url.slice(0, url.lastIndexOf('/')));
}

const lifecycle = JSON.stringify({
  rules: [
    {
      rulePriority: 1,
      description: `the last ${keepLast} images`,
      selection: { tagStatus: 'any', countType: 'imageCountMoreThan', countNumber: keepLast },
      action: { type: 'expire' },
    },
  ],
});
