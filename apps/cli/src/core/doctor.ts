import type { Report, Tariff } from '@drover/schemas';
import type { ClusterStatus } from './fleet.ts';
import { duration } from './words.ts';

/** One thing that was looked at. `warning` is worth a look and breaks nothing; only `failed` does. */
export type Finding = {
  readonly check: string;
  readonly result: 'ok' | 'warning' | 'failed';
  readonly text: string;
};

const finding = (check: string, problems: readonly string[], ok: string): Finding =>
  problems.length === 0
    ? { check, result: 'ok', text: ok }
    : { check, result: 'failed', text: problems.join('; ') };

/** Clocks may differ by less than the age at which a report is no sign of life any more. */
const clockMs = 2_000;

/** Pure. What is there against what the contract asks for; each value a JSON one. */
export function definitions(
  check: string,
  wanted: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
  found: ReadonlyMap<string, Readonly<Record<string, unknown>> | undefined>,
): Finding {
  const problems = [...wanted].flatMap(([name, definition]) => {
    const actual = found.get(name);
    if (actual === undefined) return [`${name} is missing: run bootstrap`];
    const other = Object.keys(definition).filter((key) => !covers(actual[key], definition[key]));
    return other.length === 0 ? [] : [`${name} differs in ${other.join(', ')}: run bootstrap`];
  });
  return finding(check, problems, `${wanted.size} as defined`);
}

/** Whether a value has all of another; the server adds fields of its own. */
function covers(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted))
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((one, index) => covers(actual[index], one))
    );
  if (typeof wanted !== 'object' || wanted === null) return actual === wanted;
  if (typeof actual !== 'object' || actual === null) return false;
  const fields = new Map<string, unknown>(Object.entries(actual));
  return Object.entries(wanted).every(([key, value]) => covers(fields.get(key), value));
}

/** Pure. @param hereMs this machine's clock minus the hub's */
export function clocks(
  hereMs: number | undefined,
  reports: readonly { readonly report: Report; readonly storedAtMs: number }[],
): Finding {
  const off = reports.flatMap(({ report: { cluster, agent, sentAtMs }, storedAtMs }) => {
    const ms = sentAtMs - storedAtMs;
    return Math.abs(ms) <= clockMs ? [] : [`${agent} at ${cluster} is ${by(ms)} the hub`];
  });
  if (hereMs !== undefined && Math.abs(hereMs) > clockMs)
    off.unshift(`this machine is ${by(hereMs)} the hub`);
  return finding('clocks', off, `${reports.length} agents within ${duration(clockMs)} of the hub`);
}

const by = (ms: number): string => `${duration(Math.abs(ms))} ${ms > 0 ? 'before' : 'behind'}`;

/** Older figures are worth a look, even without a time of validity. */
const oldMs = 90 * 24 * 3_600_000;

/** Pure. A cluster without a price is never chosen. */
export function prices(
  clusters: readonly string[],
  tariffs: ReadonlyMap<string, Tariff>,
  nowMs: number,
): Finding {
  const problems = clusters.flatMap((cluster) => {
    const tariff = tariffs.get(cluster);
    if (tariff === undefined) return [`${cluster} has none, so it is never chosen: drover price set`];
    const ageMs = nowMs - Date.parse(tariff.asOf);
    return tariff.validForMs !== undefined && ageMs > tariff.validForMs
      ? [`that of ${cluster} is not valid any more`]
      : [];
  });
  const old = clusters.filter((cluster) => nowMs - Date.parse(tariffs.get(cluster)?.asOf ?? '') > oldMs);
  if (problems.length === 0 && old.length > 0)
    return {
      check: 'prices',
      result: 'warning',
      text: `older than 90 days: ${old.join(', ')} (drover price set)`,
    };
  return finding('prices', problems, `${clusters.length} clusters have one`);
}

/** Pure. A cluster at zero is well; one that was there and is not heard any more is not. */
export function agents(clusters: readonly ClusterStatus[]): Finding {
  if (clusters.length === 0) return finding('agents', ['no cluster is known'], '');
  const ill = clusters.filter(({ phase }) => phase === 'silent' || phase === 'down');
  const closed = clusters.filter(({ cordoned }) => cordoned !== undefined);
  const states = clusters.map(({ cluster, phase }) => `${cluster} ${phase}`).join(', ');
  if (ill.length === 0 && closed.length === clusters.length)
    return finding('agents', ['every cluster is closed: drover resume or uncordon'], '');
  if (ill.length === 0 && closed.length > 0)
    return {
      check: 'agents',
      result: 'warning',
      text: `${states}; closed: ${closed.map(({ cluster }) => cluster).join(', ')}`,
    };
  return finding(
    'agents',
    ill.map(({ cluster, phase }) => `${cluster} is ${phase}`),
    states,
  );
}

/** Pure. */
export const deadLetters = (count: number): Finding =>
  count === 0
    ? { check: 'dead letters', result: 'ok', text: 'none' }
    : { check: 'dead letters', result: 'warning', text: `${count}: drover dead list` };
