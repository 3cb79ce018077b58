import { policy, policyKeys } from '@drover/schemas';
import { applyCommand } from './apply.ts';

export const policyApply = applyCommand({
  name: 'policy apply',
  summary: 'puts a policy in force; --dry-run only shows what would change',
  key: policyKeys.active,
  schema: policy,
  question: () => 'Put this policy in force?',
});
