import type { Priority } from './names.ts';

/** Who writes an event or a reply that is not an agent. Reserved: no cluster may take these names. */
export const writers = { scheduler: 'scheduler', ingress: 'ingress' } as const;

/**
 * Every subject, as a function; `'*'` for a token gives the wildcard to subscribe to. Arguments are single tokens
 * (see names.ts), already validated where they entered the process.
 */
export const subjects = {
  /** A request enters here, from the ingress or from any producer. */
  request: (priority: Priority | '*', tenant: string, request: string) =>
    `llm.req.${priority}.${tenant}.${request}`,
  /**
   * The same for a request that names the API key which is charged. A subject of its own, for the server cannot look into
   * messages: only who has checked a key may publish here.
   */
  keyedRequest: (priority: Priority, tenant: string, request: string) =>
    `llm.req.${priority}-keyed.${tenant}.${request}`,
  /** One attempt at a request, for one cluster. */
  job: (cluster: string, request: string) => `llm.job.${cluster}.${request}`,
  /** What became of a request: the fence and the truth. `writer` is a cluster or one of `writers`. */
  event: (writer: string, tenant: string, request: string) => `llm.evt.${writer}.${tenant}.${request}`,
  /** Tokens, live and replayable. */
  reply: (writer: string, tenant: string, request: string) => `llm.reply.${writer}.${tenant}.${request}`,
  /** What an agent measured. */
  report: (cluster: string, agent: string) => `llm.report.${cluster}.${agent}`,
  /** A reader that no longer wants its request. Heard by schedulers (queued) and agents (running). */
  cancel: (tenant: string, request: string) => `llm.cancel.${tenant}.${request}`,
  /** A reader that misses part of a reply, and does not get it from LLM_REPLIES now. Heard by agents; it has no body. */
  again: (tenant: string, request: string) => `llm.again.${tenant}.${request}`,
  /** Why the scheduler chose what it chose. */
  decision: (tenant: string, request: string) => `llm.decision.${tenant}.${request}`,
  /** What a request cost, once it has ended. */
  ledger: (tenant: string, request: string) => `llm.ledger.${tenant}.${request}`,
  /** What keys with a rate limit have taken at one ingress. */
  limits: (ingress: string) => `llm.limits.${ingress}`,
  /** What nobody could process, by reason. */
  deadLetter: (reason: string, request: string) => `llm.dlq.${reason}.${request}`,
  /** What the provider behind a cluster has been paid. */
  spending: (cluster: string) => `llm.spending.${cluster}`,
  /** A node that is wanted at a cluster; `node` counts from 1. */
  wake: (cluster: string, node: number | '*') => `llm.wake.${cluster}.${node}`,
  /** What one scheduler holds that only some clusters could take. Heard by the one that wakes clusters. */
  demand: (scheduler: string) => `llm.demand.${scheduler}`,
  /** A signature's nonce that has been used; `hash` is the SHA-256 of key and nonce, in hex. */
  nonce: (hash: string) => `llm.nonce.${hash}`,
  /** A nats-server saying that a connection has ended; `place` is the cluster of a leaf, or a reserved name for the hub. */
  gone: (place: string) => `llm.gone.${place}`,
  /** The server saying that a stream has a new leader. */
  leaderElected: (stream: string) => `$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.${stream}`,
} as const;

/** Where a request enters. */
export const subjectOfRequest = (request: {
  readonly priority: Priority;
  readonly tenant: string;
  readonly id: string;
  readonly key?: string | undefined;
}): string => {
  const { priority, tenant, id, key } = request;
  return key === undefined
    ? subjects.request(priority, tenant, id)
    : subjects.keyedRequest(priority, tenant, id);
};

/** The request id is the last token of every subject that has one. */
export const requestIdOf = (subject: string): string => subject.slice(subject.lastIndexOf('.') + 1);

/** The tokens of a reply, event, cancel or decision subject, by position. */
export const tokenOf = (subject: string, index: number): string => subject.split('.')[index] ?? '';

/** The cluster of `llm.job.<cluster>.<request>` and `llm.report.<cluster>.<agent>`. */
export const clusterOf = (subject: string): string => tokenOf(subject, 2);
