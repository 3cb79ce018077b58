import { type Priority, priorities } from './names.ts';
import { defaultRetention } from './retention.ts';
import { subjects } from './subjects.ts';

/**
 * Every stream, durable consumer and KV bucket, as data. Times are in milliseconds here; `bootstrap` turns them into
 * the nanoseconds that JetStream speaks. Replicas are the deployment's choice: one locally, three on the hub; so is how
 * long some of them keep what they have (retention.ts), which is the default here.
 */
export type StreamDefinition = {
  readonly name: string;
  readonly subjects: readonly string[];
  /** The stream that this one is fed from, by the server; it has no subjects of its own then. */
  readonly source?: string;
  readonly description: string;
  readonly retention: 'workqueue' | 'limits';
  /** `memory` is for three servers, of which two keep it when one dies. A single server keeps everything in files. */
  readonly storage: 'file' | 'memory';
  readonly discard: 'new' | 'old';
  readonly maxAgeMs?: number;
  readonly maxMsgs?: number;
  readonly maxBytes?: number;
  readonly maxMsgsPerSubject?: number;
  readonly discardNewPerSubject?: boolean;
  readonly maxMsgSizeBytes?: number;
  readonly duplicateWindowMs?: number;
  /** Messages may be given a life of their own, after which the server drops them. */
  readonly allowMessageTtl?: boolean;
  readonly allowDirect: boolean;
  /** Notes on the stream for who looks at it. */
  readonly metadata?: Readonly<Record<string, string>>;
};

export type ConsumerDefinition = {
  readonly stream: string;
  readonly name: string;
  readonly filter: string;
  /** Another subject that it gets. */
  readonly alsoFilter?: string;
  readonly ackWaitMs: number;
  readonly maxDeliver: number;
  readonly maxAckPending: number;
  readonly maxWaiting: number;
};

export type BucketDefinition = {
  readonly name: string;
  readonly description: string;
  readonly history: number;
  /** How long the mark of an expired key stays, in ms. Present: keys may be given a life of their own. */
  readonly markerTtlMs?: number;
};

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const mib = 1024 * 1024;

/** JetStream refuses larger messages (server default); prompts are capped well below at the edge. */
export const maxMessageBytes = mib;
/** Room for the envelope and for a continuation's bookkeeping around the prompt. */
export const maxBodyBytes = 512 * 1024;
/** The slice of a long result that one reply message carries. */
export const maxReplySliceBytes = 256 * 1024;

/** How far the time of a signed request may be from the ingress's, either way; it is then valid for two such windows. */
export const signatureWindowMs = 5 * minuteMs;

export const streams = {
  requests: {
    name: 'LLM_REQUESTS',
    subjects: [subjects.request('*', '*', '*')],
    description: 'Accepted requests that no cluster has been chosen for.',
    retention: 'workqueue',
    storage: 'file',
    // Accepting more than can be held would be a promise we cannot keep: the producer is told at once.
    discard: 'new',
    maxMsgs: 100_000,
    // What waits must not take the room that outcomes need: a full store can take neither.
    maxBytes: 2_048 * mib,
    maxMsgsPerSubject: 1,
    discardNewPerSubject: true,
    maxMsgSizeBytes: maxMessageBytes,
    // Longer than ack wait × max deliver, so that a late second publish is still recognised.
    duplicateWindowMs: 10 * minuteMs,
    allowDirect: true,
  },
  jobs: {
    name: 'LLM_JOBS',
    subjects: [subjects.job('*', '*')],
    description: 'Attempts, each assigned to one cluster and not yet settled.',
    retention: 'workqueue',
    storage: 'file',
    discard: 'new',
    maxMsgSizeBytes: maxMessageBytes,
    duplicateWindowMs: 10 * minuteMs,
    allowDirect: true,
  },
  events: {
    name: 'LLM_EVENTS',
    subjects: [subjects.event('*', '*', '*')],
    description:
      'What became of each request. The last event is the truth, its sequence the fence. No prompt text.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxAgeMs: defaultRetention.eventsMs,
    maxMsgsPerSubject: 32,
    allowDirect: true,
  },
  replies: {
    name: 'LLM_REPLIES',
    subjects: [subjects.reply('*', '*', '*')],
    description: 'What was said lately, for readers that missed some and for continuations.',
    retention: 'limits',
    storage: 'memory',
    discard: 'old',
    maxAgeMs: defaultRetention.repliesMs,
    maxBytes: defaultRetention.repliesBytes,
    maxMsgsPerSubject: 8192,
    allowDirect: true,
  },
  reports: {
    name: 'LLM_REPORTS',
    subjects: [subjects.report('*', '*')],
    description: 'The last report of every agent, so that a scheduler that starts knows the fleet at once.',
    retention: 'limits',
    storage: 'memory',
    discard: 'old',
    maxAgeMs: minuteMs,
    maxMsgsPerSubject: 1,
    allowDirect: true,
  },
  decisions: {
    name: 'LLM_DECISIONS',
    subjects: [subjects.decision('*', '*')],
    description: 'Every candidate of every decision, with its numbers and the reason it was refused.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxAgeMs: defaultRetention.decisionsMs,
    maxBytes: defaultRetention.decisionsBytes,
    maxMsgsPerSubject: 16,
    allowDirect: true,
  },
  settlement: {
    name: 'LLM_SETTLEMENT',
    subjects: [],
    source: 'LLM_EVENTS',
    description:
      'Events that nobody has looked at yet to see whether a request has ended and is to be charged. A stream of its own, because whoever may replay a reply may also use, change and delete the consumers of LLM_EVENTS.',
    retention: 'workqueue',
    storage: 'file',
    discard: 'old',
    maxAgeMs: 7 * dayMs,
    allowDirect: false,
  },
  ledger: {
    name: 'LLM_LEDGER',
    subjects: [subjects.ledger('*', '*')],
    description: 'What each request cost: one record, written once. Costs and budgets are sums of these.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxAgeMs: defaultRetention.ledgerMs,
    maxMsgsPerSubject: 1,
    allowDirect: true,
  },
  deadLetters: {
    name: 'LLM_DLQ',
    subjects: [subjects.deadLetter('*', '*')],
    description: 'Messages that could not be processed, with the reason.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxAgeMs: defaultRetention.deadLettersMs,
    maxBytes: defaultRetention.deadLettersBytes,
    allowDirect: true,
  },
  /** No bucket: servers let no key of one cross a leaf node into another domain. */
  spending: {
    name: 'LLM_SPENDING',
    subjects: [subjects.spending('*')],
    description: 'What each provider has been paid in this day and month.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxMsgsPerSubject: 1,
    allowDirect: true,
  },
  wakes: {
    name: 'LLM_WAKE',
    subjects: [subjects.wake('*', '*')],
    description:
      'The nodes that are wanted: one message each, renewed while it is, gone by itself when nobody renews it.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxMsgsPerSubject: 1,
    allowMessageTtl: true,
    allowDirect: true,
  },
  nonces: {
    name: 'LLM_NONCES',
    subjects: [subjects.nonce('*')],
    description: 'Nonces of signed requests, so that a signature works once, whichever ingress it reaches.',
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    maxAgeMs: 2 * signatureWindowMs,
    maxMsgsPerSubject: 1,
    allowDirect: true,
  },
  advisories: {
    name: 'LLM_ADVISORY',
    subjects: [
      '$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.LLM_REQUESTS.*',
      '$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.LLM_JOBS.*',
    ],
    description:
      'The server saying that a message was delivered too often; the dead-letter worker consumes it.',
    retention: 'workqueue',
    storage: 'file',
    discard: 'old',
    maxAgeMs: 7 * dayMs,
    allowDirect: false,
  },
} as const satisfies Record<string, StreamDefinition>;

/** Streams that a deployment can do without for a moment; schedulers make them again where they are missing. */
export const volatileStreams: readonly StreamDefinition[] = [streams.replies, streams.reports];

/** How many requests of one band a scheduler holds while it orders them; the rest stay in the stream. */
export const planningWindow = 256;

/** One durable per band: the band is chosen by pulling from it, and a flood of one band cannot hide another. */
export const requestConsumer = (band: Priority): ConsumerDefinition => ({
  stream: streams.requests.name,
  name: `scheduler-${band}`,
  filter: subjects.request(band, '*', '*'),
  alsoFilter: subjects.keyedRequest(band, '*', '*'),
  ackWaitMs: 6_000,
  maxDeliver: 10,
  maxAckPending: planningWindow,
  maxWaiting: 512,
});

/** Made at bootstrap, not by the agent, so that a cluster at zero can be assigned to. */
export const jobConsumer = (cluster: string): ConsumerDefinition => ({
  stream: streams.jobs.name,
  name: cluster,
  filter: subjects.job(cluster, '*'),
  ackWaitMs: 15_000,
  // A pull that was given up may be counted as a delivery, so this leaves slack above `maxAttempts`.
  maxDeliver: 8,
  maxAckPending: 1_000,
  maxWaiting: 2_048,
});

export const advisoryConsumer: ConsumerDefinition = {
  stream: streams.advisories.name,
  name: 'dead-letters',
  filter: '$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>',
  ackWaitMs: 10_000,
  maxDeliver: -1,
  maxAckPending: 100,
  maxWaiting: 64,
};

/** Shared by all schedulers: whoever gets the end of a request writes its record to the ledger. */
export const settlerConsumer: ConsumerDefinition = {
  stream: streams.settlement.name,
  name: 'settler',
  filter: subjects.event('*', '*', '*'),
  ackWaitMs: 30_000,
  // An account that is not settled stays open.
  maxDeliver: -1,
  maxAckPending: 2_000,
  maxWaiting: 64,
};

/** Nobody pulls from it: what it has before it is the number of nodes wanted, which is what KEDA's scaler reads. */
export const wakeConsumer = (cluster: string): ConsumerDefinition => ({
  stream: streams.wakes.name,
  name: cluster,
  filter: subjects.wake(cluster, '*'),
  ackWaitMs: 30_000,
  maxDeliver: -1,
  maxAckPending: 1,
  maxWaiting: 1,
});

/** The consumers that a deployment with these clusters needs. */
export const consumersFor = (clusters: readonly string[]): ConsumerDefinition[] => [
  ...priorities.map(requestConsumer),
  ...clusters.map(jobConsumer),
  ...clusters.map(wakeConsumer),
  advisoryConsumer,
  settlerConsumer,
];

export const buckets = {
  /** `<cluster>` → Tariff. */
  prices: {
    name: 'LLM_PRICES',
    description: 'What a node of each cluster costs, with source and time.',
    history: 10,
  },
  /** `active` → Policy; `models` → Catalogue; `experiment` → Experiment; `cordon.<cluster>` → Cordon. */
  policy: { name: 'LLM_POLICY', description: 'The policy in force and the models on offer.', history: 10 },
  /** `<API key id>` → Reservations. */
  budgets: {
    name: 'LLM_BUDGETS',
    description: 'What API keys with a budget may still be charged for requests under way.',
    history: 1,
  },
  /** `<cluster>` → Profile. */
  profiles: {
    name: 'LLM_PROFILES',
    description: 'What was last measured of each cluster: what is known of one that has no node now.',
    history: 1,
  },
  /** `<duty>` → who does it now. In files: the revisions are fences, and must never begin again. */
  leases: {
    name: 'LLM_LEASES',
    description: 'Who holds each duty that only one process may do.',
    history: 1,
    markerTtlMs: minuteMs,
  },
} as const satisfies Record<string, BucketDefinition>;

export const policyKeys = {
  active: 'active',
  models: 'models',
  /** Absent while nothing is tried. */
  experiment: 'experiment',
  /** Present while the cluster shall get nothing new; `'*'` gives the pattern of all. */
  cordon: (cluster: string) => `cordon.${cluster}`,
} as const;

/** Attempts at one request before it is given up; the last failure is then the request's outcome. */
export const maxAttempts = 5;
