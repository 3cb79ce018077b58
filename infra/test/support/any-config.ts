import fc from 'fast-check';
import { type Config, parseConfig } from '../../src/config.ts';
import { type Cloud, environments } from '../../src/spec.ts';

const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const tail = [...'abcdefghijklmnopqrstuvwxyz0123456789-'];

/** Lower-case words joined by single dashes: what names of clusters and owners may be. */
const slug = (max: number): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...letters), fc.array(fc.constantFrom(...tail), { maxLength: max - 1 }))
    .map(([first, rest]) => `${first}${rest.join('')}`.replaceAll(/-+/g, '-').replace(/-$/, ''));

const digits = (length: number): fc.Arbitrary<string> =>
  fc
    .array(fc.integer({ min: 0, max: 9 }), { minLength: length, maxLength: length })
    .map((list) => list.join(''));

const api = fc.oneof(
  fc.constant({ access: 'private' }),
  fc.record({
    access: fc.constant('authorised'),
    networks: fc.constant(['203.0.113.0/28', '198.51.100.7/32']),
  }),
);
const openApi = fc.constant({ access: 'authorised', networks: ['203.0.113.0/28'] });

const pools = (gpu: fc.Arbitrary<boolean>) =>
  fc
    .record({
      system: fc.record({ nodes: fc.integer({ min: 1, max: 6 }) }),
      spot: fc.record({ max: fc.integer({ min: 1, max: 100 }) }),
      gpu,
    })
    .map(({ gpu: wanted, ...rest }) => (wanted ? { ...rest, gpu: { max: 2 } } : rest));

const base = (gpu: fc.Arbitrary<boolean>) => ({
  name: slug(40),
  region: slug(20),
  kubernetes: fc.constant('1.34'),
  pools: pools(gpu),
  budgetUsdPerMonth: fc.integer({ min: 1, max: 10_000 }),
});

const account = {
  aws: {
    cloud: fc.constant('aws'),
    zones: fc
      .integer({ min: 2, max: 4 })
      .map((count) => ['zone-a', 'zone-b', 'zone-c', 'zone-d'].slice(0, count)),
    accountId: digits(12),
    natPerZone: fc.boolean(),
  },
  gcp: {
    cloud: fc.constant('gcp'),
    zones: fc
      .integer({ min: 1, max: 4 })
      .map((count) => ['zone-a', 'zone-b', 'zone-c', 'zone-d'].slice(0, count)),
    project: slug(30),
    projectNumber: digits(12),
    billingAccount: fc.constant('0A1B2C-3D4E5F-607182'),
  },
  azure: {
    cloud: fc.constant('azure'),
    zones: fc.subarray(['1', '2', '3'], { minLength: 1 }),
    subscriptionId: fc.uuid(),
    tenantId: fc.uuid(),
    adminGroupIds: fc.array(fc.uuid(), { minLength: 1, maxLength: 2 }),
  },
} as const satisfies Record<Cloud, Record<string, fc.Arbitrary<unknown>>>;

type AnyCluster = { readonly name: string; readonly [key: string]: unknown };

const cluster = (gpu: fc.Arbitrary<boolean>): fc.Arbitrary<AnyCluster> =>
  fc.oneof(
    fc.record({ ...base(gpu), ...account.aws }),
    fc.record({ ...base(gpu), ...account.gcp }),
    fc.record({ ...base(gpu), ...account.azure }),
  );

/** The rest of a cluster depends on its place in the list: the first is the hub, and networks are apart. */
const placed = (list: readonly AnyCluster[], apis: readonly [object, object], paused: readonly boolean[]) =>
  list.map((one, index) => ({
    ...one,
    role: index === 0 ? 'hub' : 'leaf',
    api: apis[index === 0 ? 0 : 1],
    cidr: `10.${10 + index}.0.0/16`,
    paused: index > 0 && paused[index % paused.length] === true,
  }));

/** Any configuration that is accepted. @param gpu whether clusters ask for accelerated nodes */
export const anyConfig = (gpu: fc.Arbitrary<boolean>): fc.Arbitrary<Config> =>
  fc
    .record({
      env: fc.constantFrom(...environments),
      owner: slug(63),
      emails: fc.constantFrom(['costs@example.com'], ['costs@example.com', 'on-call@example.com']),
      clusters: fc.uniqueArray(cluster(gpu), { minLength: 1, maxLength: 4, selector: ({ name }) => name }),
      apis: fc.tuple(api, openApi),
      paused: fc.array(fc.boolean(), { minLength: 2, maxLength: 3 }),
    })
    .map(({ env, owner, emails, clusters, apis, paused }) =>
      parseConfig(env, {
        'drover:owner': owner,
        'drover:domain': `${env}.drover.example`,
        'drover:budgetEmails': JSON.stringify(emails),
        'drover:budgetFrom': '2026-12-01',
        'drover:repository': 'https://github.com/example/drover.git',
        'drover:clusters': JSON.stringify(placed(clusters, apis, paused)),
      }),
    );
