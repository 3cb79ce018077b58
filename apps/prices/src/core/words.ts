import type { Current, Verdict } from './judge.ts';

/** Pure. One line about one cluster, for a person who only wants to look. */
export function words(cluster: string, before: Current | undefined, verdict: Verdict): string {
  const from = before ? `${before.tariff.usdPerHour} USD/h` : 'no price';
  switch (verdict.kind) {
    case 'write':
      return `${cluster}: ${from} → ${verdict.tariff.usdPerHour} USD/h (${verdict.tariff.market}), ${verdict.tariff.source}`;
    case 'keep':
      return verdict.why === 'held'
        ? `${cluster}: ${from} stays, set by ${before?.by} ${until(before)}`
        : `${cluster}: ${from} stays, nothing new`;
    case 'refuse':
      return `${cluster}: ${from} stays and grows stale: ${verdict.code}: ${verdict.problem}`;
    default:
      return verdict satisfies never;
  }
}

function until(current: Current | undefined): string {
  if (current?.tariff.validForMs === undefined) return 'for good';
  return `until ${new Date(Date.parse(current.tariff.asOf) + current.tariff.validForMs).toISOString()}`;
}
