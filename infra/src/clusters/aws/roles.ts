import { Role } from '@pulumi/aws/iam/role.js';
import { RolePolicy } from '@pulumi/aws/iam/rolePolicy.js';
import { RolePolicyAttachment } from '@pulumi/aws/iam/rolePolicyAttachment.js';
import type { Input } from '@pulumi/pulumi';
import { output } from '@pulumi/pulumi';
import type { AwsScope } from './scope.ts';

type Statement = Readonly<Record<string, unknown>>;

/** A policy document as JSON. */
export const policy = (...statements: readonly Statement[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });

/** Lets a service of AWS assume a role. */
export const trustService = (service: string): string =>
  policy({ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' });

/** Lets pods assume a role by EKS Pod Identity; the association says which. */
export const trustPods = policy({
  Effect: 'Allow',
  Principal: { Service: 'pods.eks.amazonaws.com' },
  Action: ['sts:AssumeRole', 'sts:TagSession'],
});

export type RoleArgs = {
  readonly part: string;
  readonly trust: Input<string>;
  /** Names of policies that AWS manages, with their path if they have one. */
  readonly managed?: readonly string[];
  readonly inline?: Input<string>;
};

/** A role with its policies. */
export function awsRole(
  { name, tags, opts }: AwsScope,
  { part, trust, managed = [], inline }: RoleArgs,
): Role {
  const called = name('role', part);
  const role = new Role(called, { name: called, assumeRolePolicy: trust, tags: tags(called) }, opts);
  for (const one of managed) {
    new RolePolicyAttachment(
      `${called}-${one.split('/').at(-1)}`,
      { role: role.name, policyArn: `arn:aws:iam::aws:policy/${one}` },
      opts,
    );
  }
  if (inline !== undefined)
    new RolePolicy(`${called}-inline`, { role: role.name, policy: output(inline) }, opts);
  return role;
}
