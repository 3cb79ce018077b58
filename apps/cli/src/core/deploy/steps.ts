import { certificates, doctor, healthy, root, token } from './argo-steps.ts';
import { clusters, delegation, images, kubeconfigs, packages, preview, stack } from './cloud-steps.ts';
import type { Facts } from './facts.ts';
import { prerequisites } from './prerequisites.ts';
import { keys, namespaces, secrets } from './secret-steps.ts';
import { authorityOf } from './tools.ts';
import type { Paths, Plan } from './types.ts';

/** Pure. What a deployment takes, in order. Nothing in it is a secret. */
export function deployPlan(facts: Facts, paths: Paths): Plan {
  const authority = authorityOf(paths);
  return {
    environment: facts.environment,
    prerequisites: prerequisites(facts),
    steps: [
      packages(),
      stack(facts),
      preview(facts),
      clusters(facts),
      kubeconfigs(facts, paths),
      images(facts),
      delegation(facts),
      keys(facts, paths),
      namespaces(facts, paths),
      secrets(facts),
      root(facts, paths),
      certificates(facts, paths, authority),
      healthy(paths),
      token(facts),
      doctor(facts, paths),
    ],
  };
}
