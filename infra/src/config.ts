import { BlockList, isIPv4 } from 'node:net';
import { z } from 'zod';
import { environments, roles } from './spec.ts';

/** The namespace of the configuration: every key `drover:*` of a stack must be known here. */
export const namespace = 'drover';

const prefixLength = (cidr: string): number => Number(cidr.split('/')[1]);

/** True for `a.b.c.d/n` with a network address, where n is from `min` to 32. */
const isCidr = (text: string, min: number): boolean => {
  const [address = '', bits = '', ...rest] = text.split('/');
  if (rest.length > 0 || !isIPv4(address) || !/^\d{1,2}$/.test(bits)) return false;
  const length = Number(bits);
  if (length < min || length > 32) return false;
  const value = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  return value % 2 ** (32 - length) === 0;
};

const privateRanges = new BlockList();
privateRanges.addSubnet('10.0.0.0', 8);
privateRanges.addSubnet('172.16.0.0', 12);
privateRanges.addSubnet('192.168.0.0', 16);

/** The cluster's own network. /16 leaves room for pods: all subnets are cut from it. */
const clusterCidr = z
  .string()
  .refine((text) => isCidr(text, 8) && prefixLength(text) === 16, 'must be a /16 such as 10.10.0.0/16')
  .refine((text) => privateRanges.check(text.split('/')[0] ?? ''), 'must be a private range');

/** Wider than /16 is not an office or a VPN but a part of the internet. */
const adminCidr = z.string().refine((text) => isCidr(text, 16), 'must be a network from /16 to /32');

const slug = (max: number) =>
  z
    .string()
    .max(max)
    .regex(
      /^[a-z](?:[a-z0-9]|-(?=[a-z0-9]))*$/,
      'lower-case letters, digits and single dashes, a letter first',
    );

/** How the Kubernetes API can be reached: from inside the network only, or from named networks too. */
const apiAccess = z.discriminatedUnion('access', [
  z.strictObject({ access: z.literal('private') }),
  z.strictObject({ access: z.literal('authorised'), networks: z.array(adminCidr).min(1).max(20) }),
]);

const machine = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{1,40}$/);

/** On demand, never spot: what must not vanish runs here. Two nodes, so that one can be replaced. */
const systemPool = z.strictObject({
  machine: machine.optional(),
  nodes: z.int().min(1).max(20).default(2),
});

/** From zero to `max`. There is no `min`: an idle cluster must cost no spot node. */
const scaledPool = z.strictObject({
  machine: machine.optional(),
  max: z.int().min(1).max(100).default(4),
});

const pools = z
  .strictObject({
    system: systemPool.prefault({}),
    spot: scaledPool.prefault({}),
    /** Off unless it is there. */
    gpu: scaledPool.optional(),
  })
  .prefault({});

const clusterBase = {
  /** One token of a NATS subject, and the name in Argo CD. */
  name: slug(40),
  role: z.enum(roles),
  region: slug(30),
  /** The control plane's version, such as 1.34. */
  kubernetes: z.string().regex(/^1\.\d{2}$/, 'must be such as 1.34'),
  cidr: clusterCidr,
  api: apiAccess,
  pools,
  budgetUsdPerMonth: z.int().positive().max(1_000_000),
  /** Leaves only: no nodes. Drain the cluster first. */
  paused: z.boolean().default(false),
};

const awsCluster = z.strictObject({
  ...clusterBase,
  cloud: z.literal('aws'),
  zones: z.array(slug(30)).min(2).max(4),
  accountId: z.string().regex(/^\d{12}$/),
  /** One NAT gateway per zone survives the loss of a zone, and costs as many times as much. */
  natPerZone: z.boolean().default(false),
});

const gcpCluster = z.strictObject({
  ...clusterBase,
  cloud: z.literal('gcp'),
  zones: z.array(slug(30)).min(1).max(4),
  project: slug(30),
  projectNumber: z.string().regex(/^\d{6,20}$/),
  billingAccount: z.string().regex(/^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$/),
});

const azureCluster = z.strictObject({
  ...clusterBase,
  cloud: z.literal('azure'),
  zones: z.array(z.enum(['1', '2', '3'])).min(1),
  subscriptionId: z.guid(),
  tenantId: z.guid(),
  /** Groups of Entra ID whose members may administer the cluster; there are no local accounts. */
  adminGroupIds: z.array(z.guid()).min(1),
});

const cluster = z.discriminatedUnion('cloud', [awsCluster, gcpCluster, azureCluster]);
export type AwsConfig = z.infer<typeof awsCluster>;
export type GcpConfig = z.infer<typeof gcpCluster>;
export type AzureConfig = z.infer<typeof azureCluster>;
export type ClusterConfig = z.infer<typeof cluster>;

const unique = (values: readonly string[]): boolean => new Set(values).size === values.length;

const clusters = z
  .array(cluster)
  .min(1)
  .superRefine((list, context) => {
    const complain = (message: string): void => context.addIssue({ code: 'custom', message });
    if (!unique(list.map(({ name }) => name))) complain('two clusters have the same name');
    if (!unique(list.map(({ cidr }) => cidr)))
      complain('two clusters have the same cidr: they could never be peered');
    if (list.filter(({ role }) => role === 'hub').length !== 1)
      complain('exactly one cluster must be the hub');
    for (const { name, role, api, paused } of list) {
      if (role === 'hub' && paused) complain(`${name} is the hub: pausing it would stop the streams`);
      // Argo CD on the hub reaches a leaf over the hub's own egress addresses, which are authorised automatically.
      if (role === 'leaf' && api.access === 'private')
        complain(`${name} is a leaf: with a private API the hub's Argo CD could not reach it`);
    }
  });

const shape = z.strictObject({
  owner: slug(63),
  /** The DNS zone of the environment, made in the hub's cloud. */
  domain: z
    .string()
    .regex(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/, 'must be a domain in lower case'),
  budgetEmails: z.array(z.email()).min(1).max(10),
  /** The first day of a month: Azure's budgets have a beginning. */
  budgetFrom: z.string().regex(/^20\d{2}-(?:0[1-9]|1[0-2])-01$/, 'must be the first day of a month'),
  /** Where Argo CD reads from. */
  repository: z.url({ protocol: /^https$/ }),
  clusters,
});

export type Config = Readonly<z.infer<typeof shape>> & { readonly env: (typeof environments)[number] };

/** The keys that hold secrets: never in this record, read as secret outputs. */
export const secretKeys = ['repositoryToken'] as const;

const structured = new Set<string>(['budgetEmails', 'clusters']);

/**
 * Turns a stack's configuration into data, or says everything that is wrong with it at once.
 * @param stack the stack's name is the environment
 * @param all every key with its text, as Pulumi gives it: structured values are JSON
 * @throws ConfigError
 */
export function parseConfig(stack: string, all: Readonly<Record<string, string>>): Config {
  const problems: string[] = [];
  const env = z.enum(environments).safeParse(stack);
  if (!env.success) problems.push(`stack: must be one of ${environments.join(', ')}, not ${stack}`);
  const given: Record<string, unknown> = {};
  for (const [full, text] of Object.entries(all)) {
    const [prefix, key = ''] = full.split(/:(.*)/s);
    if (prefix !== namespace || secretKeys.some((secret) => secret === key)) continue;
    if (!structured.has(key)) given[key] = text;
    else {
      const value = parseJson(text);
      if (value === undefined) problems.push(`${key}: is not JSON`);
      else given[key] = value;
    }
  }
  const result = shape.safeParse(given);
  if (!result.success) {
    const seen = new Set(problems.map((problem) => problem.split(':')[0]));
    for (const { path, message } of result.error.issues) {
      if (!seen.has(String(path[0]))) problems.push(`${path.join('.') || 'config'}: ${message}`);
    }
  }
  if (!env.success || !result.success || problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({ ...result.data, env: env.data });
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** A configuration that cannot be used, with every reason. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the stack's configuration cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
