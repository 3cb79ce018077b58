import { type Grants, permissions } from '@drover/schemas';
import { type Fleet, type Target, targetsOf } from './fleet.ts';

/** The JetStream domain of the hub: what agents behind a leaf node put into the subjects of its API. */
export const hubDomain = 'hub';

/** A user in the values of the NATS chart. Its key is an environment variable, so that no file names anybody's key. */
export type ChartUser = {
  readonly nkey: string;
  readonly permissions: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  readonly allowed_connection_types: readonly string[];
};

/** `aws-us-east-1` → `NKEY_AGENT_AWS_US_EAST_1`. */
export const keyVariable = (role: string): string => `NKEY_${role.toUpperCase().replaceAll('-', '_')}`;

/**
 * The hub's users: one per role, the agents of its own cluster, and one leaf per other cluster. What a leaf may say is
 * what the agents behind it may say, and the server asks it again for everything that crosses.
 */
export function hubUsers(fleet: Fleet): Record<string, ChartUser> {
  const targets = targetsOf(fleet);
  const users = Object.fromEntries([
    ['admin', user('admin', permissions.admin(), 'STANDARD')],
    ['ingress', user('ingress', permissions.ingress(), 'STANDARD')],
    ['scheduler', user('scheduler', permissions.scheduler(), 'STANDARD')],
    ['operator', user('operator', permissions.operator(), 'STANDARD')],
    ['prices', user('prices', permissions.prices(), 'STANDARD')],
  ]);
  for (const { name, role } of fleet.clusters) {
    const own = namesAt(targets, name);
    if (role === 'hub') Object.assign(users, agentUsers(own));
    else users[`leaf-${name}`] = user(`leaf-${name}`, together(own.map(agentGrants)), 'LEAFNODE');
  }
  return users;
}

/** Of a cluster: itself, and its accelerated nodes if it has any. */
export const namesAt = (targets: readonly Target[], cluster: string): string[] =>
  targets.filter(({ at }) => at === cluster).map(({ name }) => name);

/** Users for the agents of clusters that share a nats-server, such as a leaf's own. @param names `namesAt` */
export const agentUsers = (names: readonly string[]): Record<string, ChartUser> =>
  Object.fromEntries(
    names.map((name) => [`agent-${name}`, user(`agent-${name}`, agentGrants(name), 'STANDARD')]),
  );

const agentGrants = (name: string): Grants => inDomain(permissions.agent(name));

/** All that any of several may do; there is no inbox that fits all. */
const together = (all: readonly Grants[]): Pick<Grants, 'publish' | 'subscribe'> => ({
  publish: [...new Set(all.flatMap(({ publish }) => publish))],
  subscribe: [...new Set(all.flatMap(({ subscribe }) => subscribe))],
});

/**
 * What makes the hub tell a leaf that somebody here listens to what its agents publish. The hub sends a leaf only those
 * subscriptions that the leaf's rights cover whole, and ours (`llm.evt.*.*.*`) are wider than the rights of one cluster
 * (`llm.evt.<cluster>.*.*`); the source of a mapping it sends as it is. Each maps a subject to itself.
 */
export function hubMappings(fleet: Fleet): Record<string, string> {
  const leaves = targetsOf(fleet).filter(({ role }) => role === 'leaf');
  const own = leaves.flatMap(({ name }) =>
    permissions
      .agent(name)
      .publish.filter((subject) => subject.startsWith('llm.') && subject.split('.').includes(name)),
  );
  return Object.fromEntries(own.map((subject) => [subject, toItself(subject)]));
}

/** `llm.evt.a.*.*` → `llm.evt.a.{{wildcard(1)}}.{{wildcard(2)}}`. */
function toItself(subject: string): string {
  let index = 0;
  return subject.replaceAll('*', () => {
    index += 1;
    return `{{wildcard(${index})}}`;
  });
}

const user = (
  role: string,
  { publish, subscribe }: Pick<Grants, 'publish' | 'subscribe'>,
  kind: string,
): ChartUser => ({
  // Doubled angle brackets: the chart leaves the quotes out, and nats-server reads the variable.
  nkey: `<< $${keyVariable(role)} >>`,
  permissions: { publish, subscribe },
  allowed_connection_types: [kind],
});

/** The same rights through the hub's domain: the agent does not care whether a leaf node is between it and the hub. */
export const inDomain = (grants: Grants): Grants => ({
  ...grants,
  publish: grants.publish.flatMap((subject) =>
    subject.startsWith('$JS.API.')
      ? [subject, subject.replace('$JS.API.', `$JS.${hubDomain}.API.`)]
      : [subject],
  ),
});
