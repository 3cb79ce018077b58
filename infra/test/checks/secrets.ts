import { entries, isSecret } from '../support/read.ts';
import { type Check, ofType, types } from './check.ts';

/** What tells a credential or the way to a cluster is encrypted in the state. */
export const secretsAreMarked: Check = (resources) => [
  ...ofType(resources, types.kubernetesProvider)
    .filter(({ inputs }) => !isSecret(inputs.kubeconfig))
    .map(({ name }) => `${name}: the kubeconfig is plain`),
  ...ofType(resources, types.kubernetesSecret).flatMap(({ name, inputs }) => {
    const content = inputs.stringData ?? inputs.data;
    if (content === undefined || isSecret(content)) return [];
    const plain = entries(content).filter(([key, value]) => credential.test(key) && !isSecret(value));
    return plain.map(([key]) => `${name}: ${key} is plain`);
  }),
];

const credential = /^(config|password|token|sshPrivateKey|seed)$/;
