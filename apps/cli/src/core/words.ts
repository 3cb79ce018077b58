/** Pure. A time span in the unit that people would use. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

/** Pure. A price with as many digits as matter, never in powers of ten. */
export const usd = (value: number): string =>
  value >= 1
    ? `$${value.toFixed(2)}`
    : `$${value.toLocaleString('en-US', { maximumSignificantDigits: 3, useGrouping: false })}`;

/** Pure. A moment, to the second. */
export const moment = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
