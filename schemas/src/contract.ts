import type { z } from 'zod';
import { cancel } from './messages/cancel.ts';
import { catalogue } from './messages/catalogue.ts';
import { cordon } from './messages/cordon.ts';
import { decisionRecord } from './messages/decision.ts';
import { demand } from './messages/demand.ts';
import { event } from './messages/event.ts';
import { experiment } from './messages/experiment.ts';
import { job } from './messages/job.ts';
import { ledgerRecord } from './messages/ledger.ts';
import { limitsTaken } from './messages/limits.ts';
import { policy } from './messages/policy.ts';
import { profile } from './messages/profile.ts';
import { reply } from './messages/reply.ts';
import { report } from './messages/report.ts';
import { request } from './messages/request.ts';
import { reservations } from './messages/reservation.ts';
import { spending } from './messages/spending.ts';
import { tariff } from './messages/tariff.ts';
import { wake } from './messages/wake.ts';
import type { Priority } from './names.ts';
import { buckets, policyKeys, streams } from './streams.ts';
import { subjects } from './subjects.ts';

export type Role = 'producer' | 'ingress' | 'scheduler' | 'agent' | 'operator' | 'autoscaler';

export type Channel = {
  /** Subject with `{parameter}` for each token that varies. */
  readonly address: string;
  readonly message: z.ZodType;
  readonly stream: string | null;
  readonly summary: string;
  readonly sentBy: readonly Role[];
  readonly receivedBy: readonly Role[];
};

const kv = (bucket: string, key: string) => `$KV.${bucket}.${key}`;
// A placeholder stands where a priority does; the address is only ever shown.
const anyPriority = '{priority}' as Priority;

/** The whole wire, channel by channel: what the generated JSON Schema and AsyncAPI documents are made from. */
export const channels = {
  request: {
    address: subjects.request(anyPriority, '{tenant}', '{request}'),
    message: request,
    stream: streams.requests.name,
    summary:
      'A request, published with Nats-Msg-Id = its id; the PubAck is its acceptance. One that names an API key goes to ' +
      `${subjects.keyedRequest(anyPriority, '{tenant}', '{request}')}, where producers may not publish.`,
    sentBy: ['producer', 'ingress'],
    receivedBy: ['scheduler'],
  },
  job: {
    address: subjects.job('{cluster}', '{request}'),
    message: job,
    stream: streams.jobs.name,
    summary: 'One attempt at a request, assigned to one cluster.',
    sentBy: ['scheduler'],
    receivedBy: ['agent'],
  },
  event: {
    address: subjects.event('{writer}', '{tenant}', '{request}'),
    message: event,
    stream: streams.events.name,
    summary: 'What became of a request; compare-and-set on the last sequence over all writers.',
    sentBy: ['agent', 'scheduler', 'ingress'],
    receivedBy: ['agent', 'scheduler', 'ingress', 'producer'],
  },
  reply: {
    address: subjects.reply('{writer}', '{tenant}', '{request}'),
    message: reply,
    stream: streams.replies.name,
    summary: 'Tokens and the outcome, live; replayable while LLM_REPLIES keeps them.',
    sentBy: ['agent', 'scheduler', 'ingress'],
    receivedBy: ['ingress', 'producer'],
  },
  report: {
    address: subjects.report('{cluster}', '{agent}'),
    message: report,
    stream: streams.reports.name,
    summary: 'What an agent measured.',
    sentBy: ['agent'],
    receivedBy: ['scheduler', 'ingress'],
  },
  cancel: {
    address: subjects.cancel('{tenant}', '{request}'),
    message: cancel,
    stream: null,
    summary: 'Nobody wants the answer any more.',
    sentBy: ['producer', 'ingress'],
    receivedBy: ['scheduler', 'agent'],
  },
  decision: {
    address: subjects.decision('{tenant}', '{request}'),
    message: decisionRecord,
    stream: streams.decisions.name,
    summary: 'Every candidate of a decision, with its numbers and the reason it was refused.',
    sentBy: ['scheduler'],
    receivedBy: ['ingress', 'scheduler', 'operator'],
  },
  ledger: {
    address: subjects.ledger('{tenant}', '{request}'),
    message: ledgerRecord,
    stream: streams.ledger.name,
    summary: 'What a request cost; written once, when it has ended.',
    sentBy: ['scheduler'],
    receivedBy: ['ingress'],
  },
  limits: {
    address: subjects.limits('{ingress}'),
    message: limitsTaken,
    stream: null,
    summary: 'What keys with a rate limit have taken at one ingress: the others count it too.',
    sentBy: ['ingress'],
    receivedBy: ['ingress'],
  },
  reservations: {
    address: kv(buckets.budgets.name, '{key}'),
    message: reservations,
    stream: `KV_${buckets.budgets.name}`,
    summary: 'What an API key with a budget may still be charged for requests under way.',
    sentBy: ['ingress'],
    receivedBy: ['ingress'],
  },
  spending: {
    address: subjects.spending('{cluster}'),
    message: spending,
    stream: streams.spending.name,
    summary: 'What a provider has been paid in this day and month.',
    sentBy: ['agent'],
    receivedBy: ['agent'],
  },
  wake: {
    address: 'llm.wake.{cluster}.{node}',
    message: wake,
    stream: streams.wakes.name,
    summary: 'A node that is wanted; renewed while it is.',
    sentBy: ['scheduler'],
    receivedBy: ['scheduler', 'autoscaler'],
  },
  demand: {
    address: subjects.demand('{scheduler}'),
    message: demand,
    stream: null,
    summary: 'What one scheduler holds that only some clusters could take.',
    sentBy: ['scheduler'],
    receivedBy: ['scheduler'],
  },
  profile: {
    address: kv(buckets.profiles.name, '{cluster}'),
    message: profile,
    stream: `KV_${buckets.profiles.name}`,
    summary: 'What was last measured of the nodes of a cluster.',
    sentBy: ['scheduler'],
    receivedBy: ['scheduler'],
  },
  tariff: {
    address: kv(buckets.prices.name, '{cluster}'),
    message: tariff,
    stream: `KV_${buckets.prices.name}`,
    summary: 'What a node of a cluster costs.',
    sentBy: ['operator'],
    receivedBy: ['scheduler'],
  },
  experiment: {
    address: kv(buckets.policy.name, policyKeys.experiment),
    message: experiment,
    stream: `KV_${buckets.policy.name}`,
    summary: 'Policies that are tried: in turns, or as a shadow.',
    sentBy: ['operator'],
    receivedBy: ['scheduler'],
  },
  policy: {
    address: kv(buckets.policy.name, policyKeys.active),
    message: policy,
    stream: `KV_${buckets.policy.name}`,
    summary: 'How the scheduler chooses.',
    sentBy: ['operator'],
    receivedBy: ['scheduler'],
  },
  cordon: {
    address: kv(buckets.policy.name, policyKeys.cordon('{cluster}')),
    message: cordon,
    stream: `KV_${buckets.policy.name}`,
    summary: 'While it is there, the cluster gets nothing new.',
    sentBy: ['operator'],
    receivedBy: ['scheduler'],
  },
  catalogue: {
    address: kv(buckets.policy.name, policyKeys.models),
    message: catalogue,
    stream: `KV_${buckets.policy.name}`,
    summary: 'The models on offer and their aliases.',
    sentBy: ['operator'],
    receivedBy: ['ingress', 'scheduler'],
  },
} as const satisfies Record<string, Channel>;
