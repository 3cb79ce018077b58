import { type Cloud, gpuTaint, nodeLabels, poolLabel, type Taint, taintsMet } from '../../src/spec.ts';
import type { Recorded } from '../support/deploy.ts';
import { at, list } from '../support/read.ts';
import { type Check, ofType, types } from './check.ts';

/** A pool of nodes, said in the same words for the three clouds. */
type Pool = {
  readonly cloud: Cloud;
  readonly name: string;
  /** The value of our label: system, spot or gpu. */
  readonly kind: unknown;
  readonly spot: boolean;
  /** Every number that says how many nodes there are without load. */
  readonly sizes: readonly unknown[];
  readonly accelerated: boolean;
  /** As `key=value:effect`. */
  readonly taints: readonly string[];
  readonly publicAddresses: boolean;
};

const written = ({ key, value, effect }: Taint): string => `${key}=${value}:${effect}`;

const taintOf = (taint: unknown): string =>
  `${String(at(taint, 'key'))}=${String(at(taint, 'value'))}:${String(at(taint, 'effect')).replace('NO_SCHEDULE', 'NoSchedule')}`;

const eksPool = ({ name, inputs }: Recorded): Pool => ({
  cloud: 'aws',
  name,
  kind: at(inputs, 'labels', poolLabel),
  spot: at(inputs, 'capacityType') === 'SPOT',
  sizes: [at(inputs, 'scalingConfig', 'minSize'), at(inputs, 'scalingConfig', 'desiredSize')],
  accelerated:
    String(at(inputs, 'amiType')).includes('NVIDIA') ||
    list(at(inputs, 'instanceTypes')).some((machine) => /^(g|p)\d/.test(String(machine))),
  taints: list(at(inputs, 'taints')).map(taintOf),
  publicAddresses: false,
});

const gkePool = ({ name, inputs }: Recorded): Pool => ({
  cloud: 'gcp',
  name,
  kind: at(inputs, 'nodeConfig', 'labels', poolLabel),
  spot: at(inputs, 'nodeConfig', 'spot') === true,
  sizes: [
    at(inputs, 'nodeCount') ?? 0,
    at(inputs, 'initialNodeCount') ?? 0,
    at(inputs, 'autoscaling', 'totalMinNodeCount') ?? 0,
    at(inputs, 'autoscaling', 'minNodeCount') ?? 0,
  ],
  accelerated: list(at(inputs, 'nodeConfig', 'guestAccelerators')).length > 0,
  taints: list(at(inputs, 'nodeConfig', 'taints')).map(taintOf),
  publicAddresses: false,
});

const aksPool = (name: string, profile: unknown): Pool => ({
  cloud: 'azure',
  name,
  kind: at(profile, 'nodeLabels', poolLabel),
  spot: at(profile, 'scaleSetPriority') === 'Spot',
  sizes: [at(profile, 'count'), at(profile, 'minCount') ?? 0],
  accelerated: /^Standard_N/.test(String(at(profile, 'vmSize'))),
  taints: list(at(profile, 'nodeTaints')).map(String),
  publicAddresses: at(profile, 'enableNodePublicIP') !== false,
});

export const poolsOf = (resources: readonly Recorded[]): readonly Pool[] => [
  ...ofType(resources, types.eksPool).map(eksPool),
  ...ofType(resources, types.gkePool).map(gkePool),
  ...ofType(resources, types.aks).flatMap(({ name, inputs }) =>
    list(at(inputs, 'agentPoolProfiles')).map((profile) => aksPool(`${name}-inline`, profile)),
  ),
  ...ofType(resources, types.aksPool).map(({ name, inputs }) => aksPool(name, inputs)),
];

/** Spot pools start at zero and can go back to it; models run on spot, everything else on demand. */
export const spotFromZero: Check = (resources) =>
  poolsOf(resources).flatMap(({ name, kind, spot, sizes }) => {
    const faults: string[] = [];
    if (!(String(kind) in nodeLabels)) faults.push(`${name}: has no label ${poolLabel}`);
    if (spot !== (kind !== 'system')) faults.push(`${name}: a ${kind} pool is ${spot ? '' : 'not '}spot`);
    if (spot && sizes.some((size) => size !== 0)) faults.push(`${name}: starts at ${sizes.join(', ')} nodes`);
    return faults;
  });

/** Each cluster has a system pool and one for models. */
export const everyClusterHasItsPools: Check = (resources) =>
  (
    [
      ['aws', types.eks],
      ['gcp', types.gke],
      ['azure', types.aks],
    ] as const
  ).flatMap(([cloud, type]) => {
    const clusters = ofType(resources, type).length;
    const pools = poolsOf(resources).filter((pool) => pool.cloud === cloud);
    return (['system', 'spot'] as const)
      .filter((kind) => pools.filter((pool) => pool.kind === kind).length !== clusters)
      .map((kind) => `${cloud}: not every cluster has exactly one ${kind} pool`);
  });

/** Pools carry exactly the taints of the spec: charts tolerate those. */
export const taintsAsSpecified: Check = (resources) =>
  poolsOf(resources).flatMap(({ cloud, name, kind, taints }) => {
    if (kind !== 'system' && kind !== 'spot' && kind !== 'gpu') return [`${name}: unknown kind`];
    const wanted = taintsMet(cloud, kind).map(written).sort();
    const got = [...taints].sort();
    return wanted.join() === got.join()
      ? []
      : [`${name}: tainted [${got.join()}], wanted [${wanted.join()}]`];
  });

/** No accelerated node that nobody asked for, and none without its taint. */
export const noAccelerators: Check = (resources) =>
  poolsOf(resources)
    .filter(({ accelerated, kind }) => accelerated || kind === 'gpu')
    .map(({ name }) => `${name}: is accelerated`);

export const acceleratorsAreTainted: Check = (resources) =>
  poolsOf(resources)
    .filter(({ accelerated, taints }) => accelerated && !taints.includes(written(gpuTaint)))
    .map(({ name }) => `${name}: is accelerated and lacks ${written(gpuTaint)}`);
