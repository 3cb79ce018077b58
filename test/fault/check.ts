import { type ClientRecord, type Evidence, type History, type StoredEvent, statusOf } from './history.ts';

/** Each is one invariant, broken. */
export const violationKinds = [
  /** Accepted, and no outcome: at its client or in the event log. */
  'lost',
  /** More than one outcome, or something after it. */
  'two-outcomes',
  /** The client heard another outcome than the one that stands. */
  'outcome-differs',
  /** A unit that the client has already. */
  'duplicated',
  /** A unit that was left out, or an answer that ends too early. */
  'missing',
  /** A unit that is not the uninterrupted answer's. */
  'wrong-text',
  /** A failure that nothing in the request excuses. */
  'unexpected-failure',
  /** A stream that ended cleanly without saying how. */
  'silent-end',
  /** A commit by somebody who was not the last owner. */
  'stale-commit',
  /** Something is left in a work queue. */
  'left-over',
] as const;
export type ViolationKind = (typeof violationKinds)[number];
export type Violation = { readonly kind: ViolationKind; readonly id: string; readonly detail: string };

/** Pure. Everything in a history that Drover promises not to do. Empty: the promise was kept. */
export function check({ clients, evidence }: Pick<History, 'clients' | 'evidence'>): Violation[] {
  const events = byRequest(evidence.events);
  return [
    ...clients.flatMap((client) => checkClient(client, events.get(client.id) ?? [])),
    ...[...events].flatMap(([id, log]) => checkLog(id, log)),
    ...checkQueues(evidence),
  ];
}

function byRequest(events: readonly StoredEvent[]): Map<string, StoredEvent[]> {
  const logs = new Map<string, StoredEvent[]>();
  for (const one of events) {
    const log = logs.get(one.id);
    if (log) log.push(one);
    else logs.set(one.id, [one]);
  }
  return logs;
}

function checkClient(client: ClientRecord, log: readonly StoredEvent[]): Violation[] {
  return [...checkEnd(client, log), ...checkUnits(client), ...checkAttachments(client)];
}

function checkEnd(client: ClientRecord, log: readonly StoredEvent[]): Violation[] {
  const { id, end } = client;
  const ended = log.find(({ event }) => event.state === 'ended');
  const outcome = ended?.event.state === 'ended' ? ended.event.outcome : undefined;
  const accepted = client.acceptedAtMs !== undefined || log.length > 0;
  if (accepted && outcome === undefined) return [{ kind: 'lost', id, detail: 'no outcome was committed' }];
  if (accepted && end === undefined)
    return [{ kind: 'lost', id, detail: 'its client was never told the outcome' }];
  if (end === undefined) return [{ kind: 'lost', id, detail: 'never accepted, and nobody said why' }];
  const said = end.status === 'failed' ? end.code : end.status;
  if (outcome !== undefined && statusOf(outcome) !== said)
    return [{ kind: 'outcome-differs', id, detail: `heard ${said}, committed ${statusOf(outcome)}` }];
  if (isExcused(client, said)) return [];
  return [{ kind: 'unexpected-failure', id, detail: said }];
}

/** Whoever wished for an end may get it, or its answer; an answer that cannot be continued may end saying so. */
function isExcused({ wish, continuable }: ClientRecord, said: string): boolean {
  if (said === 'done') return true;
  if (wish === 'cancel' && said === 'cancelled') return true;
  if (wish === 'expire' && said === 'deadline_exceeded') return true;
  return !continuable && said === 'continuation_impossible';
}

function checkUnits(client: ClientRecord): Violation[] {
  const { id, expected, heard, end, kind } = client;
  const found: Violation[] = [];
  const add = (kind: ViolationKind, detail: string) => found.push({ kind, id, detail });
  let next = 0;
  let text = '';
  for (const { at, t } of heard) {
    if (at < next) {
      add('duplicated', `unit ${at} came again`);
      continue;
    }
    if (at > next) add('missing', `unit ${next} did not come before unit ${at}`);
    next = at + 1;
    text += t;
  }
  if (!expected.startsWith(text))
    add('wrong-text', `${JSON.stringify(text.slice(-40))} is not of the answer`);
  else if (end?.status === 'done' && text.length < expected.length)
    add('missing', `the answer ends after ${text.length} of ${expected.length} characters`);
  if (kind === 'http-whole' && heard.length > 1) add('duplicated', 'a whole answer came twice');
  return found;
}

const checkAttachments = ({ id, attachments }: ClientRecord): Violation[] =>
  attachments
    .filter(({ closed }) => closed === 'silent')
    .map(({ via, from }) => ({ kind: 'silent-end', id, detail: `${via}, attached at unit ${from}` }));

/** Ownership: nothing follows `ended`; who ends or releases a running request is who claimed it last. */
function checkLog(id: string, log: readonly StoredEvent[]): Violation[] {
  const found: Violation[] = [];
  let before: StoredEvent | undefined;
  for (const one of log) {
    if (before?.event.state === 'ended') {
      const detail = `${one.event.state} of ${one.writer} after the end by ${before.writer}`;
      found.push({ kind: 'two-outcomes', id, detail });
    } else if (isStale(one, before)) {
      const detail = `${one.event.state} by ${one.writer}, owner was ${before?.writer ?? 'nobody'}`;
      found.push({ kind: 'stale-commit', id, detail });
    }
    before = one;
  }
  return found;
}

/** Scheduler and ingress end what no agent will; agents only what is theirs, or what too many others failed at. */
function isStale({ writer, event }: StoredEvent, before: StoredEvent | undefined): boolean {
  if (writer === 'scheduler' || writer === 'ingress' || event.state === 'running') return false;
  if (
    event.state === 'ended' &&
    event.outcome.status === 'failed' &&
    event.outcome.code === 'attempts_exhausted'
  )
    return false;
  if (before?.event.state !== 'running') return true;
  return before.writer !== writer || before.event.attempt !== event.attempt;
}

function checkQueues({ requests, jobs }: Evidence): Violation[] {
  const found: Violation[] = [];
  if (requests > 0) found.push({ kind: 'left-over', id: 'LLM_REQUESTS', detail: `${requests} messages` });
  for (const subject of jobs) found.push({ kind: 'left-over', id: 'LLM_JOBS', detail: subject });
  return found;
}
