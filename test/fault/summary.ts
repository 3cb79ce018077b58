import { type ViolationKind, violationKinds } from './check.ts';
import type { Result } from './harness.ts';
import type { ClientRecord, FaultKind, PartKind } from './history.ts';
import { percentile, type Resumed, resumes } from './resume.ts';

export type Summary = ReturnType<typeof summarize>;

/** The figures of a run. */
export function summarize({ history, violations, stale, crashes, seconds }: Result) {
  const { clients, faults, openings, evidence } = history;
  const ended = (is: (end: NonNullable<ClientRecord['end']>) => boolean) =>
    clients.filter(({ end }) => end !== undefined && is(end)).length;
  const count = (kind: ViolationKind) => violations.filter((one) => one.kind === kind).length;
  const failures = Map.groupBy(
    clients.flatMap(({ end }) => (end?.status === 'failed' ? [end.code] : [])),
    (code) => code,
  );
  const expired = failures.get('deadline_exceeded')?.length ?? 0;
  failures.delete('deadline_exceeded');
  const opened = Map.groupBy(openings, ({ id }) => id);
  return {
    seconds: Math.round(seconds),
    kills: faults.filter(({ what }) => what === 'kill').length,
    otherFaults: faults.filter(({ what }) => what !== 'kill').length,
    accepted: clients.filter(({ acceptedAtMs }) => acceptedAtMs !== undefined).length,
    completed: ended(({ status }) => status === 'done'),
    failed: Object.fromEntries([...failures].map(([code, all]) => [code, all.length])),
    expired,
    cancelled: ended(({ status }) => status === 'cancelled'),
    /** Requests that another owner went on with, and streams that came back to another reader. */
    resumed: [...opened.values()].filter((all) => all.length > 1).length,
    reattached: clients.filter(({ attachments }) => attachments.length > 1).length,
    lost: count('lost'),
    duplicatedTokens: count('duplicated'),
    missingTokens: count('missing'),
    violations: Object.fromEntries(
      violationKinds.flatMap((kind) => (count(kind) ? [[kind, count(kind)]] : [])),
    ),
    staleReplies: stale.replies,
    staleCommitsRefused: stale.commits,
    crashes: crashes.length,
    deadLetters: evidence.deadLetters,
    resumeMs: resumeTable(resumes(history)),
  };
}

const rows: readonly (readonly [FaultKind, PartKind])[] = [
  ['kill', 'agent'],
  ['kill', 'llama'],
  ['kill', 'ingress'],
  ['kill', 'scheduler'],
  ['kill', 'nats'],
  ['drain', 'agent'],
  ['pause', 'agent'],
  ['pause', 'llama'],
  ['pause', 'ingress'],
  ['pause', 'scheduler'],
  ['pause', 'nats'],
  ['partition', 'agent'],
  ['partition', 'ingress'],
  ['partition', 'scheduler'],
];

export type ResumeRow = {
  readonly fault: string;
  /** Streams that waited for this fault alone. */
  readonly n: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly max?: number;
  /** Streams that were hit again before they went on, and the longest of these. */
  readonly compound: number;
  readonly compoundMax?: number;
};

function resumeTable(all: readonly Resumed[]): ResumeRow[] {
  return rows.flatMap(([what, kind]) => {
    const these = all.filter((one) => one.what === what && one.kind === kind);
    if (these.length === 0) return [];
    const alone = these.filter(({ compound }) => !compound).map(({ ms }) => ms);
    const compound = these.filter((one) => one.compound).map(({ ms }) => ms);
    return [
      {
        fault: `${what} ${kind}`,
        n: alone.length,
        ...figure('p50', percentile(alone, 0.5)),
        ...figure('p99', percentile(alone, 0.99)),
        ...figure('max', percentile(alone, 1)),
        compound: compound.length,
        ...figure('compoundMax', percentile(compound, 1)),
      },
    ];
  });
}

const figure = <K extends string>(name: K, value: number | undefined): { [key in K]?: number } => {
  const figures: { [key in K]?: number } = {};
  if (value !== undefined) figures[name] = value;
  return figures;
};

/** The figures as text. */
export function print(summary: Summary): string {
  const { resumeMs, failed, violations, ...figures } = summary;
  const show = (value: Readonly<Record<string, number>>) =>
    Object.entries(value)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  const lines = Object.entries(figures).map(([name, value]) => `${words(name).padEnd(24)} ${value}`);
  const header = ['time to resume, ms'.padEnd(24), 'n', 'p50', 'p99', 'max', 'hit again', 'max'];
  const table = resumeMs.map(({ fault, n, p50, p99, max, compound, compoundMax }) =>
    [fault.padEnd(24), n, p50 ?? '-', p99 ?? '-', max ?? '-', compound, compoundMax ?? '-']
      .map(cell)
      .join(''),
  );
  return [
    ...lines,
    `${'failed by code'.padEnd(24)} ${show(failed)}`,
    `${'violations'.padEnd(24)} ${show(violations)}`,
    '',
    header.map(cell).join(''),
    ...table,
  ].join('\n');
}

const cell = (value: string | number, index: number): string =>
  index === 0 ? String(value) : String(value).padStart(index === 5 ? 11 : 8);

const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
