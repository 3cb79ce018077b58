import { at } from '../support/read.ts';
import { type Check, ofType, types } from './check.ts';

/** Every cluster issues tokens that its cloud trusts, so that no pod needs a key. */
export const oidcOn: Check = (resources) => {
  const addons = ofType(resources, types.eksAddon);
  const providers = ofType(resources, types.awsOidc);
  return [
    ...ofType(resources, types.eks).flatMap(({ name }) => {
      const faults: string[] = [];
      if (!providers.some(({ inputs }) => String(at(inputs, 'url')).endsWith(`/${name}`)))
        faults.push(`${name}: AWS does not trust its issuer`);
      const agent = addons.some(
        ({ inputs }) =>
          at(inputs, 'clusterName') === name && at(inputs, 'addonName') === 'eks-pod-identity-agent',
      );
      if (!agent) faults.push(`${name}: has no agent of Pod Identity`);
      return faults;
    }),
    ...ofType(resources, types.gke)
      .filter(
        ({ inputs }) =>
          at(inputs, 'workloadIdentityConfig', 'workloadPool') !==
          `${String(at(inputs, 'project'))}.svc.id.goog`,
      )
      .map(({ name }) => `${name}: has no workload identity`),
    ...ofType(resources, types.gkePool)
      .filter(({ inputs }) => at(inputs, 'nodeConfig', 'workloadMetadataConfig', 'mode') !== 'GKE_METADATA')
      .map(({ name }) => `${name}: pods can become the node`),
    ...ofType(resources, types.aks)
      .filter(
        ({ inputs }) =>
          at(inputs, 'oidcIssuerProfile', 'enabled') !== true ||
          at(inputs, 'securityProfile', 'workloadIdentity', 'enabled') !== true,
      )
      .map(({ name }) => `${name}: has no issuer or no workload identity`),
  ];
};
