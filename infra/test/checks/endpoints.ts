import type { Recorded } from '../support/deploy.ts';
import { at, entries, list, texts } from '../support/read.ts';
import { type Check, ofType, types } from './check.ts';
import { poolsOf } from './pools.ts';

/** Wider than this is not somebody's network but a part of the internet. */
const widest = 16;

const isWide = (cidr: unknown): boolean => {
  const bits = Number(String(cidr).split('/')[1]);
  return !Number.isInteger(bits) || bits < widest;
};

const everybody = /(^|[^\d.:])(0\.0\.0\.0(\/0)?|::\/0|Internet|\*)$/;

/** A way out is not a way in: the default routes of the subnets' tables. */
const isWayOut = ({ type }: Recorded, path: string): boolean =>
  type === types.awsRoutes && /^routes\[\d+\]\.cidrBlock$/.test(path);

const isAddressPath = (path: string): boolean => /cidr|range|source|prefix|network/i.test(path);

const nobodyIsLetIn: Check = (resources) =>
  resources.flatMap((resource) =>
    texts(resource.inputs)
      .filter(({ path, text }) => isAddressPath(path) && everybody.test(text) && !isWayOut(resource, path))
      .map(({ path, text }) => `${resource.name}: ${path} is ${text}`),
  );

const eksFaults = ({ name, inputs }: Recorded): string[] => {
  const vpc = at(inputs, 'vpcConfig');
  if (at(vpc, 'endpointPrivateAccess') !== true) return [`${name}: nodes would call the API from outside`];
  // What is not said is public, and open to everybody.
  if (at(vpc, 'endpointPublicAccess') === false) return [];
  const admitted = list(at(vpc, 'publicAccessCidrs'));
  return admitted.length === 0 || admitted.some(isWide) ? [`${name}: the API admits ${admitted.join()}`] : [];
};

const gkeFaults = ({ name, inputs }: Recorded): string[] => {
  const faults: string[] = [];
  const authorised = at(inputs, 'masterAuthorizedNetworksConfig');
  if (at(inputs, 'privateClusterConfig', 'enablePrivateNodes') !== true) faults.push(`${name}: public nodes`);
  if (authorised === undefined) faults.push(`${name}: the API admits everybody`);
  if (at(authorised, 'gcpPublicCidrsAccessEnabled') !== false)
    faults.push(`${name}: the API admits all of Google Cloud`);
  if (list(at(authorised, 'cidrBlocks')).some((block) => isWide(at(block, 'cidrBlock'))))
    faults.push(`${name}: the API admits a wide network`);
  return faults;
};

const aksFaults = ({ name, inputs }: Recorded): string[] => {
  const access = at(inputs, 'apiServerAccessProfile');
  const faults = at(inputs, 'disableLocalAccounts') === true ? [] : [`${name}: has local accounts`];
  if (at(access, 'enablePrivateCluster') === true) return faults;
  const admitted = list(at(access, 'authorizedIPRanges'));
  if (admitted.length === 0 || admitted.some(isWide))
    faults.push(`${name}: the API admits ${admitted.join()}`);
  return faults;
};

/** Nodes have private addresses, and live in subnets that give out no others. */
const nodesArePrivate: Check = (resources) => [
  ...poolsOf(resources)
    .filter(({ publicAddresses }) => publicAddresses)
    .map(({ name }) => `${name}: nodes have public addresses`),
  ...ofType(resources, types.awsSubnet)
    .filter(({ inputs }) => at(inputs, 'mapPublicIpOnLaunch') !== false)
    .map(({ name }) => `${name}: gives out public addresses`),
  ...ofType(resources, types.eksPool)
    .filter(({ inputs }) => list(at(inputs, 'subnetIds')).some((id) => !String(id).includes('-private-')))
    .map(({ name }) => `${name}: is in a public subnet`),
];

/** What Helm installs gets no load balancer, no ingress and no plain text. */
const releasesListenInside: Check = (resources) =>
  ofType(resources, types.release).flatMap(({ name, inputs }) => {
    const values = at(inputs, 'values');
    const faults = texts(values)
      .filter(({ text }) => text === 'LoadBalancer' || text === 'NodePort' || text.includes('--insecure'))
      .map(({ path, text }) => `${name}: ${path} is ${text}`);
    for (const [part, settings] of entries(values)) {
      if (at(settings, 'ingress', 'enabled') === true) faults.push(`${name}: ${part} has an ingress`);
    }
    if (at(inputs, 'chart') !== 'argo-cd') return faults;
    if (at(values, 'server', 'service', 'type') !== 'ClusterIP')
      faults.push(`${name}: server is not ClusterIP`);
    if (at(values, 'configs', 'params', 'server.insecure') !== false)
      faults.push(`${name}: speaks plain text`);
    return faults;
  });

/** No endpoint is open to the world. */
export const noOpenEndpoint: Check = (resources) => [
  ...nobodyIsLetIn(resources),
  ...ofType(resources, types.eks).flatMap(eksFaults),
  ...ofType(resources, types.gke).flatMap(gkeFaults),
  ...ofType(resources, types.aks).flatMap(aksFaults),
  ...nodesArePrivate(resources),
  ...releasesListenInside(resources),
];
