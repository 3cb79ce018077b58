import type { Event, LedgerRecord, Portion, RequestId, TenantId } from '@drover/schemas';

/** Whose `ended` event it is, and when the stream stored it, by the hub's clock. */
export type Ended = {
  readonly tenant: TenantId;
  readonly id: RequestId;
  readonly event: Extract<Event, { state: 'ended' }>;
  readonly storedAtMs: number;
};

/**
 * What the tokens of a portion cost, in USD; undefined where a price that they need is unknown. Reading is never dearer
 * than writing: a request's ceiling is on the price of its output, and so bounds all of its cost.
 */
export function chargeFor({
  promptTokens,
  completionTokens,
  usdPer1k,
  usdPer1kPrompt,
}: Portion): number | undefined {
  if (promptTokens + completionTokens === 0) return 0;
  if (usdPer1k === undefined) return undefined;
  if (promptTokens > 0 && usdPer1kPrompt === undefined) return undefined;
  const read = promptTokens * Math.min(usdPer1kPrompt ?? 0, usdPer1k);
  return (read + completionTokens * usdPer1k) / 1_000;
}

/**
 * What a request cost, from its last event alone: settled again, by whomever, it gives the same record. Cancelled and
 * failed requests are charged for what they were told.
 */
export function settle({ tenant, id, event, storedAtMs }: Ended): LedgerRecord {
  const { outcome, metered, key, model, priority } = event;
  const portions = (metered ?? []).map(priced);
  const isKnown = isMetered(event) && portions.every(({ usd }) => usd !== undefined);
  const usage = outcome.usage;
  return {
    v: 1,
    request: id,
    tenant,
    ...(key === undefined ? {} : { key }),
    ...(model === undefined ? {} : { model }),
    ...(priority === undefined ? {} : { priority }),
    endedAtMs: storedAtMs,
    status: outcome.status,
    ...(outcome.status === 'failed' ? { code: outcome.code } : {}),
    portions,
    ...(isKnown ? { usd: sum(portions, ({ usd }) => usd ?? 0) } : { unpriced: true as const }),
    ...(portions.some(({ uncounted }) => uncounted) ? { uncounted: true as const } : {}),
    promptTokens: metered ? sum(portions, (one) => one.promptTokens) : (usage?.promptTokens ?? 0),
    completionTokens: metered ? sum(portions, (one) => one.completionTokens) : (usage?.completionTokens ?? 0),
    ...(usage?.cachedTokens === undefined ? {} : { cachedTokens: usage.cachedTokens }),
  };
}

/** Whether the writer knew who had said what. What was never tried has said nothing. */
const isMetered = ({ metered, attempt, outcome }: Ended['event']): boolean =>
  metered !== undefined || (attempt === 0 && outcome.usage === undefined);

function priced(portion: Portion): LedgerRecord['portions'][number] {
  const usd = chargeFor(portion);
  return { ...portion, ...(usd === undefined ? {} : { usd }) };
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0);
