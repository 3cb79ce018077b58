export const periods = ['day', 'month'] as const;
export type Period = (typeof periods)[number];

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** Pure. When the UTC day or month that holds `nowMs` began, and when it ends; both are whole days. */
export function periodAround(
  period: Period,
  nowMs: number,
): { readonly fromMs: number; readonly toMs: number } {
  const at = new Date(nowMs);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  return period === 'day'
    ? { fromMs: Date.UTC(year, month, day), toMs: Date.UTC(year, month, day + 1) }
    : { fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) };
}
