import { createHash } from 'node:crypto';
import type { Cloud, Environment, Role } from './spec.ts';

/** The first part of every name and the value of the `project` tag. */
export const project = 'drover';

type Limit = {
  readonly cloud: Cloud;
  /** Characters a name may have at most. */
  readonly max: number;
  /** `plain` names have lower-case letters and digits only; `dashed` ones dashes too. */
  readonly style: 'dashed' | 'plain';
};

const aws = (max: number): Limit => ({ cloud: 'aws', max, style: 'dashed' });
const gcp = (max: number): Limit => ({ cloud: 'gcp', max, style: 'dashed' });
const azure = (max: number): Limit => ({ cloud: 'azure', max, style: 'dashed' });

/**
 * Every kind of thing that has a name of its own, with the limit of its cloud. The key is the last part of the name.
 * Sources: the naming rules of each service's API reference (Azure: "Naming rules and restrictions").
 */
export const kinds = {
  aws: {
    // A Name tag, or an identifier that takes 255 characters or more.
    vpc: aws(255),
    subnet: aws(255),
    igw: aws(255),
    nat: aws(255),
    rt: aws(255),
    sg: aws(255),
    key: aws(249),
    eks: aws(100),
    role: aws(64),
    policy: aws(128),
    ecr: aws(200),
    lt: aws(118),
    budget: aws(100),
  },
  gcp: {
    vpc: gcp(63),
    subnet: gcp(63),
    router: gcp(63),
    nat: gcp(63),
    ip: gcp(63),
    gke: gcp(40),
    sa: gcp(30),
    gar: gcp(63),
    zone: gcp(63),
    budget: gcp(60),
    alert: gcp(512),
  },
  azure: {
    // A group of nodes may have 80, others 90.
    rg: azure(80),
    vnet: azure(64),
    subnet: azure(80),
    nat: azure(80),
    ip: azure(80),
    // The cluster may have 63; its name is also its DNS prefix.
    aks: azure(54),
    id: azure(128),
    acr: { cloud: 'azure', max: 50, style: 'plain' },
    budget: azure(63),
  },
} as const satisfies { readonly [C in Cloud]: Readonly<Record<string, Limit>> };

export type Kind<C extends Cloud> = keyof (typeof kinds)[C] & string;

const hashLength = 6;
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, hashLength);

/**
 * Fits a name into a limit. A name that has to lose something ends with a hash of the whole, so that two names never
 * become one; the same name always gives the same result.
 */
export function fitName(full: string, { max, style }: Pick<Limit, 'max' | 'style'>, salt = ''): string {
  if (style === 'plain') {
    return full.replaceAll(/[^a-z0-9]/g, '').slice(0, max - hashLength) + hashOf(full + salt);
  }
  if (full.length <= max) return full;
  const head = full.slice(0, max - hashLength - 1).replace(/-+$/, '');
  return `${head}-${hashOf(full)}`;
}

/**
 * Names the things of one cluster: `project-env-component-type`, where the component is the cluster or a part of it.
 * `part` tells apart several things of a kind, such as zones; `salt`, for names that are unique in the whole cloud, is
 * something that only this account has.
 */
export type Namer<C extends Cloud> = (kind: Kind<C>, part?: string, salt?: string) => string;

export function namer<C extends Cloud>(cloud: C, env: Environment, cluster: string): Namer<C> {
  const limits: Readonly<Record<string, Limit>> = kinds[cloud];
  return (kind, part, salt) => {
    const limit = limits[kind];
    if (limit === undefined) throw new Error(`${cloud} has no kind ${kind}`);
    const full = [project, env, cluster, ...(part === undefined ? [] : [part]), kind].join('-');
    return fitName(full, limit, salt);
  };
}

/** What a label may be in each of the three clouds and in Kubernetes at once; GCP is the strictest. */
const labelKey = /^[a-z][a-z0-9_-]{0,62}$/;
const labelValue = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/;

export type LabelFacts = {
  readonly env: Environment;
  readonly cluster: string;
  readonly cloud: Cloud;
  readonly region: string;
  readonly role: Role;
  readonly owner: string;
};

/**
 * The tags (AWS, Azure) and labels (GCP) of everything that belongs to a cluster. The budgets count by them.
 * @throws when a value could not be a label in every cloud
 */
export function labelsOf(facts: LabelFacts): Readonly<Record<string, string>> {
  const labels = { project, ...facts, 'managed-by': 'pulumi' };
  for (const [key, value] of Object.entries(labels)) {
    if (!labelKey.test(key) || !labelValue.test(value))
      throw new Error(`${key}=${value} cannot be a label in every cloud`);
  }
  return labels;
}
