import { priorities } from './names.ts';
import {
  advisoryConsumer,
  buckets,
  type ConsumerDefinition,
  jobConsumer,
  requestConsumer,
  streams,
  volatileStreams,
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

/** Reading and watching a bucket. A watcher is a push consumer with flow control. */
const watch = (bucket: string): string[] => [
  `${api}.DIRECT.GET.KV_${bucket}.$KV.${bucket}.>`,
  `${api}.CONSUMER.CREATE.KV_${bucket}.*.$KV.${bucket}.>`,
  `${api}.CONSUMER.INFO.KV_${bucket}.*`,
  `${api}.CONSUMER.DELETE.KV_${bucket}.*`,
  `$JS.FC.KV_${bucket}.>`,
];

/** Memory streams vanish with a single server; whoever may make them again may not delete them. */
const remake = (stream: string): string[] => [
  `${api}.STREAM.CREATE.${stream}`,
  `${api}.STREAM.UPDATE.${stream}`,
];

const remove = (stream: string): string => `${api}.STREAM.MSG.DELETE.${stream}`;

export const permissions = {
  /** Makes streams, consumers and buckets, and writes prices and policy. The only one that can delete them. */
  admin: (): Grants => ({ publish: ['>'], subscribe: ['>'], inboxPrefix: inbox('admin') }),

  /** Submits requests of one tenant on NATS, follows and cancels them. */
  producer: (tenant: string): Grants =>
    grants(
      `producer_${tenant}`,
      [
        subjects.request('*', tenant, '*'),
        subjects.cancel(tenant, '*'),
        lastOn(streams.requests.name, subjects.request('*', tenant, '*')),
        lastOn(streams.events.name, subjects.event('*', tenant, '*')),
        ...replay(streams.replies.name, subjects.reply('*', tenant, '*')),
      ],
      [subjects.reply('*', tenant, '*'), subjects.event('*', tenant, '*')],
    ),

  /** Submits for every tenant and ends what nobody else ended. */
  ingress: (): Grants =>
    grants(
      'ingress',
      [
        subjects.request('*', '*', '*'),
        subjects.cancel('*', '*'),
        subjects.event(writers.ingress, '*', '*'),
        subjects.reply(writers.ingress, '*', '*'),
        lastOn(streams.requests.name, subjects.request('*', '*', '*')),
        lastOn(streams.events.name, subjects.event('*', '*', '*')),
        lastOn(streams.decisions.name, subjects.decision('*', '*')),
        ...replay(streams.replies.name, subjects.reply('*', '*', '*')),
        ...read(streams.reports.name),
        ...watch(buckets.policy.name),
      ],
      [subjects.reply('*', '*', '*'), subjects.event('*', '*', '*'), subjects.report('*', '*')],
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
      ],
      [
        subjects.report('*', '*'),
        subjects.event('*', '*', '*'),
        subjects.cancel('*', '*'),
        subjects.decision('*', '*'),
      ],
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
        subjects.deadLetter('*', '*'),
        ...work(jobConsumer(cluster)),
        lastOn(streams.events.name, subjects.event('*', '*', '*')),
        ...replay(streams.replies.name, subjects.reply('*', '*', '*')),
      ],
      [subjects.cancel('*', '*')],
    );
  },
} as const;

/** One user of the server: the public nkey and what it may do. */
export type NatsUser = { readonly nkey: string; readonly grants: Grants };

/** The `accounts` block of nats-server's configuration. There is no default user: who has no key cannot connect. */
export const natsUsersConfig = (users: readonly NatsUser[]): string =>
  `accounts {
  DROVER {
    jetstream: enabled
    users: [
${users.map(renderUser).join('\n')}
    ]
  }
}
`;

const renderUser = ({ nkey, grants: { publish, subscribe } }: NatsUser): string =>
  `      { nkey: ${nkey}, permissions {
          publish { allow: ${renderList(publish)} }
          subscribe { allow: ${renderList(subscribe)} } } }`;

const renderList = (allowed: readonly string[]): string =>
  `[\n            ${allowed.map((subject) => JSON.stringify(subject)).join(',\n            ')} ]`;
