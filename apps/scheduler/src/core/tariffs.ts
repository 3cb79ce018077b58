import type { Tariff } from '@drover/schemas';

/** True when the price is older than it said it would be good for. It is still the best we know. */
export const isStale = ({ asOf, validForMs }: Tariff, nowMs: number): boolean =>
  validForMs !== undefined && nowMs - Date.parse(asOf) > validForMs;
