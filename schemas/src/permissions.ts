import { account, departureExports, departureImports, hubPlace, systemAccount } from './departures.ts';
import { priorities } from './names.ts';
import {
  advisoryConsumer,
  buckets,
  type ConsumerDefinition,
  jobConsumer,
  policyKeys,
  requestConsumer,
  settlerConsumer,
  streams,
  volatileStreams,
  wakeConsumer,
} from './streams.ts';
import { subjects, writers } from './subjects.ts';

/**
 * Which subjects each role may publish and subscribe; everything else is denied. The server enforces these, so a stolen
 * credential is worth no more than its role: the writer (cluster) and the tenant are tokens of the subjects.
 */
export type Grants = {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Replies and PubAcks of this role arrive below it; with a shared prefix anyone could read everybody's. */
  readonly inboxPrefix: string;
};

const api = '$JS.API';
const inbox = (role: string): string => `_INBOX_${role}`;
const grants = (role: string, publish: readonly string[], subscribe: readonly string[]): Grants => ({
  publish,
  subscribe: [`${inbox(role)}.>`, ...subscribe],
  inboxPrefix: inbox(role),
});

/** The last message on a subject. The subject is part of the request's, so that it can be limited to a tenant. */
const lastOn = (stream: string, filter: string): string => `${api}.DIRECT.GET.${stream}.${filter}`;

/** Any message by sequence, or the last ones of many subjects: the stream cannot be limited further. */
const anyOf = (stream: string): string[] => [`${api}.DIRECT.GET.${stream}`, `${api}.DIRECT.GET.${stream}.>`];

/**
 * A short-lived consumer of its own over what matches `filter`. The server compares the filter in the subject with the
 * one in the body, so this cannot be widened. Names are random: nobody pulls from another's by chance.
 */
const replay = (stream: string, filter: string): string[] => [
  `${api}.CONSUMER.CREATE.${stream}.*.${filter}`,
  `${api}.CONSUMER.MSG.NEXT.${stream}.*`,
  `${api}.CONSUMER.DELETE.${stream}.*`,
];

/** The same for a reader who leaves the consumer to end by itself, and can therefore end no other. */
const readOnce = (stream: string, filter: string): string[] =>
  replay(stream, filter).filter((subject) => !subject.startsWith(`${api}.CONSUMER.DELETE.`));

/** Everything that reading a whole stream takes, ordered consumers included. */
const read = (stream: string): string[] => [
  ...anyOf(stream),
  `${api}.STREAM.INFO.${stream}`,
  `${api}.CONSUMER.CREATE.${stream}.>`,
  `${api}.CONSUMER.INFO.${stream}.*`,
  `${api}.CONSUMER.MSG.NEXT.${stream}.*`,
  `${api}.CONSUMER.DELETE.${stream}.*`,
];

/** Pulling from a durable consumer, and settling what it delivered. */
const work = ({ stream, name }: ConsumerDefinition): string[] => [
  `${api}.CONSUMER.INFO.${stream}.${name}`,
  `${api}.CONSUMER.MSG.NEXT.${stream}.${name}`,
  `$JS.ACK.${stream}.${name}.>`,
];

/** How much a durable consumer has before it. */
const look = ({ stream, name }: ConsumerDefinition): string => `${api}.CONSUMER.INFO.${stream}.${name}`;

/** Reading and watching a bucket: a watcher pulls from a consumer of its own, which ends by itself. */
const watch = (bucket: string): string[] => [
  `${api}.DIRECT.GET.KV_${bucket}.$KV.${bucket}.>`,
  ...readOnce(`KV_${bucket}`, `$KV.${bucket}.>`),
  // What the client library asks after a reconnect.
  `${api}.CONSUMER.INFO.KV_${bucket}.*`,
];

/** The key (or pattern) of a bucket, for whoever writes it; also heard there by core subscribers. */
const key = (bucket: string, name: string): string => `$KV.${bucket}.${name}`;

/** Memory streams vanish with a single server; whoever may make them again may not delete them. */
const remake = (stream: string): string[] => [
  `${api}.STREAM.CREATE.${stream}`,
  `${api}.STREAM.UPDATE.${stream}`,
];

const remove = (stream: string): string => `${api}.STREAM.MSG.DELETE.${stream}`;

export const permissions = {
  /** Makes streams, consumers and buckets, and writes prices and policy. The only one that can delete them. */
  admin: (): Grants => ({ publish: ['>'], subscribe: ['>'], inboxPrefix: inbox('admin') }),

  /**
   * Submits requests of one tenant on NATS, follows and cancels them. It may not read back its own requests: the server
   * sends a message that is got directly to any reply subject that the getter names, so a producer that could write what
   * it then gets could write anything anywhere, the policy too. Nor may it make consumers on LLM_EVENTS: whoever may
   * make one of any name may change the durable ones.
   */
  producer: (tenant: string): Grants =>
    grants(
      `producer_${tenant}`,
      [
        // Not those that name an API key: it could use up the budget of another.
        ...priorities.map((band) => subjects.request(band, tenant, '*')),
        subjects.cancel(tenant, '*'),
        subjects.again(tenant, '*'),
        lastOn(streams.events.name, subjects.event('*', tenant, '*')),
        ...replay(streams.replies.name, subjects.reply('*', tenant, '*')),
      ],
      [subjects.reply('*', tenant, '*'), subjects.event('*', tenant, '*')],
    ),

  /** Submits for every tenant, in the name of the API keys that it checks, and ends what nobody else ended. */
  ingress: (): Grants =>
    grants(
      'ingress',
      [
        subjects.request('*', '*', '*'),
        subjects.cancel('*', '*'),
        subjects.again('*', '*'),
        subjects.event(writers.ingress, '*', '*'),
        subjects.reply(writers.ingress, '*', '*'),
        subjects.nonce('*'),
        subjects.limits('*'),
        lastOn(streams.nonces.name, subjects.nonce('*')),
        lastOn(streams.requests.name, subjects.request('*', '*', '*')),
        lastOn(streams.events.name, subjects.event('*', '*', '*')),
        lastOn(streams.decisions.name, subjects.decision('*', '*')),
        ...readOnce(streams.events.name, subjects.event('*', '*', '*')),
        ...replay(streams.replies.name, subjects.reply('*', '*', '*')),
        ...read(streams.ledger.name),
        key(buckets.budgets.name, '*'),
        lastOn(`KV_${buckets.budgets.name}`, key(buckets.budgets.name, '*')),
        ...read(streams.reports.name),
        ...watch(buckets.policy.name),
      ],
      [
        subjects.reply('*', '*', '*'),
        subjects.event('*', '*', '*'),
        subjects.report('*', '*'),
        subjects.limits('*'),
      ],
    ),

  /** Takes requests, hands out jobs, moves them, and ends what can never run. */
  scheduler: (): Grants =>
    grants(
      'scheduler',
      [
        subjects.job('*', '*'),
        subjects.decision('*', '*'),
        subjects.event(writers.scheduler, '*', '*'),
        subjects.reply(writers.scheduler, '*', '*'),
        subjects.deadLetter('*', '*'),
        ...priorities.map(requestConsumer).flatMap(work),
        ...work(advisoryConsumer),
        ...work(settlerConsumer),
        subjects.ledger('*', '*'),
        `${api}.CONSUMER.INFO.${streams.jobs.name}.*`,
        `${api}.STREAM.INFO.${streams.jobs.name}`,
        `${api}.STREAM.INFO.${streams.requests.name}`,
        ...anyOf(streams.jobs.name),
        ...anyOf(streams.requests.name),
        ...anyOf(streams.events.name),
        remove(streams.jobs.name),
        remove(streams.requests.name),
        ...volatileStreams.flatMap(({ name }) => remake(name)),
        ...read(streams.reports.name),
        ...watch(buckets.prices.name),
        ...watch(buckets.policy.name),
        ...readOnce(streams.events.name, subjects.event('*', '*', '*')),
        ...replay(streams.replies.name, subjects.reply('*', '*', '*')),
        lastOn(`KV_${buckets.leases.name}`, key(buckets.leases.name, '*')),
        key(buckets.leases.name, '*'),
        subjects.wake('*', '*'),
        subjects.demand('*'),
        ...anyOf(streams.wakes.name),
        remove(streams.wakes.name),
        ...watch(buckets.profiles.name),
        key(buckets.profiles.name, '*'),
      ],
      [
        subjects.report('*', '*'),
        subjects.event('*', '*', '*'),
        subjects.cancel('*', '*'),
        subjects.decision('*', '*'),
        key(buckets.leases.name, '*'),
        subjects.wake('*', '*'),
        subjects.demand('*'),
        subjects.gone('*'),
      ],
    ),

  /** Looks how many nodes are wanted and how many jobs there are, as KEDA does over HTTP. Writes nothing. */
  autoscaler: (): Grants => grants('autoscaler', [look(wakeConsumer('*')), look(jobConsumer('*'))], []),

  /**
   * Writes the prices that it is told by clouds, and reads them for what is in force. Nothing else is let through, but whoever may
   * write a message and get it directly can have the server send it to any subject, as the reply (see `producer`). Buckets are
   * read past such values (apps/runtime, watch.ts); this role is for a process at the hub all the same, and for no cluster.
   */
  prices: (): Grants =>
    grants(
      'prices',
      [key(buckets.prices.name, '*'), lastOn(`KV_${buckets.prices.name}`, key(buckets.prices.name, '*'))],
      [],
    ),

  /**
   * A person at the command line: looks at everything, sets prices, policy and cordons, submits dead letters again and
   * deletes them. Deletes no stream, runs no job, and writes nothing in the name of a process.
   */
  operator: (): Grants =>
    grants(
      'operator',
      [
        key(buckets.prices.name, '*'),
        key(buckets.policy.name, policyKeys.active),
        key(buckets.policy.name, policyKeys.experiment),
        key(buckets.policy.name, policyKeys.cordon('*')),
        ...anyOf(`KV_${buckets.prices.name}`),
        ...anyOf(`KV_${buckets.policy.name}`),
        subjects.request('*', '*', '*'),
        ...read(streams.deadLetters.name),
        remove(streams.deadLetters.name),
        ...read(streams.events.name),
        ...read(streams.decisions.name),
        ...readOnce(streams.ledger.name, subjects.ledger('*', '*')),
        ...read(streams.reports.name),
        `${api}.STREAM.INFO.*`,
        ...priorities.map(requestConsumer).map(look),
        ...[jobConsumer('*'), wakeConsumer('*'), advisoryConsumer, settlerConsumer].map(look),
      ],
      [subjects.report('*', '*'), subjects.event('*', '*', '*'), subjects.decision('*', '*')],
    ),

  /**
   * Runs the jobs of one cluster and speaks in its name only.
   * @throws when the cluster has the name of a reserved writer
   */
  agent: (cluster: string): Grants => {
    if (Object.hasOwn(writers, cluster))
      throw new Error(`no cluster may be called ${cluster}: that writer is reserved`);
    return grants(
      `agent_${cluster}`,
      [
        subjects.event(cluster, '*', '*'),
        subjects.reply(cluster, '*', '*'),
        subjects.report(cluster, '*'),
        // Said by the nats-server of a leaf, which has the rights of its cluster's agents.
        subjects.gone(cluster),
        subjects.deadLetter('*', '*'),
        ...work(jobConsumer(cluster)),
        lastOn(streams.events.name, subjects.event('*', '*', '*')),
        ...readOnce(streams.events.name, subjects.event('*', '*', '*')),
        ...replay(streams.replies.name, subjects.reply('*', '*', '*')),
        subjects.spending(cluster),
        lastOn(streams.spending.name, subjects.spending(cluster)),
      ],
      [subjects.cancel('*', '*'), subjects.again('*', '*'), subjects.leaderElected(streams.replies.name)],
    );
  },
} as const;

/** One user of the server: the public nkey and what it may do. */
export type NatsUser = { readonly nkey: string; readonly grants: Grants };

/**
 * The `accounts` block of nats-server's configuration, of a server that no leaf is between. There is no default user: who has
 * no key cannot connect.
 */
export const natsUsersConfig = (users: readonly NatsUser[]): string =>
  `accounts {
  ${systemAccount} { exports: ${JSON.stringify(departureExports)} }
  ${account} {
    jetstream: enabled
    imports: ${JSON.stringify(departureImports(hubPlace))}
    users: [
${users.map(renderUser).join('\n')}
    ]
  }
}
system_account: ${systemAccount}
`;

const renderUser = ({ nkey, grants: { publish, subscribe } }: NatsUser): string =>
  `      { nkey: ${nkey}, permissions {
          publish { allow: ${renderList(publish)} }
          subscribe { allow: ${renderList(subscribe)} } } }`;

const renderList = (allowed: readonly string[]): string =>
  `[\n            ${allowed.map((subject) => JSON.stringify(subject)).join(',\n            ')} ]`;
