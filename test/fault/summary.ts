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
  /** How long ends were missing. */
  readonly endP50?: number;
  readonly endP99?: number;
};

function resumeTable(all: readonly Resumed[]): ResumeRow[] {
  return rows.flatMap(([what, kind]) => {
    const these = all.filter((one) => one.what === what && one.kind === kind);
    if (these.length === 0) return [];
    const row = rowOf(`${what} ${kind}`, these, ({ ms }) => ms);
    return kind === 'nats' && what === 'kill'
      ? [row, rowOf('  since it is back', these, ({ sinceBackMs }) => sinceBackMs)]
      : [row];
  });
}

function rowOf(fault: string, these: readonly Resumed[], msOf: (one: Resumed) => number): ResumeRow {
  const alone = these.filter(({ compound }) => !compound);
  const times = alone.map(msOf);
  const compound = these.filter((one) => one.compound).map(msOf);
  const ends = alone.flatMap(({ endMs }) => endMs ?? []);
  return {
    fault,
    n: times.length,
    ...figure('p50', percentile(times, 0.5)),
    ...figure('p99', percentile(times, 0.99)),
    ...figure('max', percentile(times, 1)),
    compound: compound.length,
    ...figure('compoundMax', percentile(compound, 1)),
    ...figure('endP50', percentile(ends, 0.5)),
    ...figure('endP99', percentile(ends, 0.99)),
  };
}

const figure = <K extends string>(name: K, value: number | undefined): { [key in K]?: number } => {
  const figures: { [key in K]?: number } = {};
  if (value !== undefined) figures[name] = value;
  return figures;
};

/** The figures of runs as text: those of all together, and for each the times to resume. */
export function print(runs: readonly { readonly hub: string; readonly summary: Summary }[]): string {
  const { failed, violations, ...figures } = total(runs.map(({ summary }) => summary));
  const show = (value: Readonly<Record<string, number>>) =>
    Object.entries(value)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  const lines = Object.entries(figures).map(([name, value]) => `${words(name).padEnd(nameWidth)} ${value}`);
  return [
    ...lines,
    `${'failed by code'.padEnd(nameWidth)} ${show(failed)}`,
    `${'violations'.padEnd(nameWidth)} ${show(violations)}`,
    ...runs.flatMap(({ hub, summary }) => ['', hub, ...printTable(summary.resumeMs)]),
  ].join('\n');
}

const nameWidth = 24;

/** Pure. The figures of several runs as those of one. */
export function total(summaries: readonly Summary[]): Omit<Summary, 'resumeMs'> {
  const all = summaries.map(({ resumeMs: _, ...figures }) => figures);
  const [first, ...others] = all;
  if (first === undefined) throw new Error('no run');
  return others.reduce((sum, one) => added(sum, one), first);
}

type Figures = Omit<Summary, 'resumeMs'>;

function added(a: Figures, b: Figures): Figures {
  return {
    seconds: a.seconds + b.seconds,
    kills: a.kills + b.kills,
    otherFaults: a.otherFaults + b.otherFaults,
    accepted: a.accepted + b.accepted,
    completed: a.completed + b.completed,
    failed: addedByName(a.failed, b.failed),
    expired: a.expired + b.expired,
    cancelled: a.cancelled + b.cancelled,
    resumed: a.resumed + b.resumed,
    reattached: a.reattached + b.reattached,
    lost: a.lost + b.lost,
    duplicatedTokens: a.duplicatedTokens + b.duplicatedTokens,
    missingTokens: a.missingTokens + b.missingTokens,
    violations: addedByName(a.violations, b.violations),
    staleReplies: a.staleReplies + b.staleReplies,
    staleCommitsRefused: a.staleCommitsRefused + b.staleCommitsRefused,
    crashes: a.crashes + b.crashes,
    deadLetters: a.deadLetters + b.deadLetters,
  };
}

function addedByName(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>) {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]));
}

function printTable(table: readonly ResumeRow[]): string[] {
  const header = ['ms to the next token', 'n', 'p50', 'p99', 'max', 'hit again', 'max', 'end p50', 'end p99'];
  const rows = table.map((row) => [
    row.fault,
    row.n,
    row.p50 ?? '-',
    row.p99 ?? '-',
    row.max ?? '-',
    row.compound,
    row.compoundMax ?? '-',
    row.endP50 ?? '-',
    row.endP99 ?? '-',
  ]);
  return [header, ...rows].map((cells) => cells.map(cell).join(''));
}

const cell = (value: string | number, index: number): string =>
  index === 0 ? String(value).padEnd(nameWidth) : String(value).padStart(index === 5 ? 11 : 9);

const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
