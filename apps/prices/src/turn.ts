import type { Logger } from '@drover/runtime';
import type { Tariff } from '@drover/schemas';
import { type Answer, type RefusalCode, refuse } from './core/answer.ts';
import { type Current, judge, type Verdict } from './core/judge.ts';
import type { FeederName, Plan, Source, SourceOf } from './core/plan.ts';
import type { Ask, Feeders } from './feeders/feeder.ts';
import type { Book } from './nats/prices.ts';

export type Outcome = {
  readonly cluster: string;
  readonly feeder: FeederName;
  readonly before?: Current;
  readonly verdict: Verdict;
};

export type Parts = {
  readonly plan: Plan;
  readonly feeders: Feeders;
  readonly book: Book;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  /** Decide, and write nothing. */
  readonly dryRun?: boolean;
};

type Asks = { readonly [Name in FeederName]: Ask<Name> };

/**
 * Asks every source once and writes what is believed. A source that fails, or a price that is refused, leaves the last price,
 * which grows stale; it stops no other. @throws when JetStream does not answer
 */
export async function turn(parts: Parts): Promise<Outcome[]> {
  const { plan, feeders, signal } = parts;
  const asks: Asks = {
    'aws-spot': feeders['aws-spot'](signal),
    'azure-retail': feeders['azure-retail'](signal),
    'gcp-catalogue': feeders['gcp-catalogue'](signal),
    file: feeders.file(signal),
  };
  const all = Object.entries(plan.clusters).map(([cluster, source]) => settle(parts, asks, cluster, source));
  const outcomes: Outcome[] = [];
  for (const settled of await Promise.allSettled(all)) {
    if (settled.status === 'rejected') throw settled.reason;
    outcomes.push(settled.value);
  }
  return outcomes;
}

async function settle(parts: Parts, asks: Asks, cluster: string, source: Source): Promise<Outcome> {
  const { book, plan, nowMs } = parts;
  const answer = await askSafely(asks, cluster, source, nowMs());
  // Read after the source has been asked: a person may have set a price while it took its time.
  const { revision, current } = await book.read(cluster);
  let verdict = judge(current, answer, { maxChange: plan.maxChange, nowMs: nowMs() });
  if (verdict.kind === 'write' && !parts.dryRun && !(await book.write(cluster, verdict.tariff, revision)))
    verdict = { kind: 'refuse', code: 'conflict', problem: 'somebody else wrote it at the same moment' };
  const outcome: Outcome = {
    cluster,
    feeder: source.feeder,
    verdict,
    ...(current === undefined ? {} : { before: current }),
  };
  tell(parts.log, outcome);
  return outcome;
}

/** A feeder with a bug is a feeder that does not answer: the others go on. */
async function askSafely(
  asks: Asks,
  cluster: string,
  source: Source,
  nowMs: number,
): Promise<Answer<Tariff>> {
  try {
    return await ask(asks, cluster, source, nowMs);
  } catch (error) {
    return refuse(
      'unreachable',
      `${source.feeder}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function ask(asks: Asks, cluster: string, source: Source, nowMs: number): Promise<Answer<Tariff>> {
  switch (source.feeder) {
    case 'aws-spot':
      return asks['aws-spot'](cluster, source, nowMs);
    case 'azure-retail':
      return asks['azure-retail'](cluster, source, nowMs);
    case 'gcp-catalogue':
      return asks['gcp-catalogue'](cluster, source, nowMs);
    case 'file':
      return asks.file(cluster, source satisfies SourceOf<'file'>, nowMs);
    default:
      return source satisfies never;
  }
}

function tell(log: Logger, { cluster, feeder, before, verdict }: Outcome): void {
  const about = { cluster, feeder, before: before?.tariff.usdPerHour };
  switch (verdict.kind) {
    case 'write':
      log.info({ ...about, usdPerHour: verdict.tariff.usdPerHour, source: verdict.tariff.source }, 'price');
      return;
    case 'keep':
      log.info({ ...about, why: verdict.why, by: before?.by }, 'price kept');
      return;
    case 'refuse':
      log.warn({ ...about, code: verdict.code, problem: verdict.problem }, 'price refused');
      return;
    default:
      verdict satisfies never;
  }
}

/** How a turn went for one cluster; a label of metrics. */
export const outcomeName = ({ verdict }: Outcome): 'written' | 'held' | 'unchanged' | RefusalCode =>
  verdict.kind === 'write' ? 'written' : verdict.kind === 'keep' ? verdict.why : verdict.code;
