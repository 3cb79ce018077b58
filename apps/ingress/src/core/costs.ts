import { DroverError } from '@drover/schemas';
import { add, type CostBook, noSums, type Row, type Sums } from './cost-book.ts';
import { dayMs, hourMs } from './period.ts';

export const dimensions = ['tenant', 'cluster', 'model', 'hour', 'key'] as const;
export type Dimension = (typeof dimensions)[number];

export type CostsQuery = { readonly by: Dimension; readonly fromMs: number; readonly toMs: number };

/** As far back as the ledger goes. */
const historyMs = 32 * dayMs;

/**
 * Reads `by`, `from` (inclusive) and `to` (exclusive). Sums are kept by the hour, so a time within an hour means all of it.
 * @throws DroverError `invalid_request` that names the parameter
 */
export function parseCostsQuery(query: Readonly<Record<string, unknown>>, nowMs: number): CostsQuery {
  for (const name of Object.keys(query))
    if (!['by', 'from', 'to'].includes(name)) throw bad(name, 'there is no such parameter');
  const by = dimensions.find((dimension) => dimension === (query.by ?? 'tenant'));
  if (by === undefined) throw bad('by', `use one of ${dimensions.join(', ')}`);
  const fromMs = hourDown(timeOf('from', query.from) ?? nowMs - historyMs);
  const toMs = hourUp(timeOf('to', query.to) ?? nowMs + 1);
  if (toMs <= fromMs) throw bad('to', 'use a time after `from`');
  return { by, fromMs, toMs };
}

/** A day, or a moment with its zone, as ISO 8601 writes them. */
const time = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/;

function timeOf(name: string, text: unknown): number | undefined {
  if (text === undefined) return undefined;
  const ms = typeof text === 'string' && time.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw bad(name, 'use a time like 2026-11-24 or 2026-11-24T08:00:00Z');
  return ms;
}

const hourDown = (ms: number): number => Math.floor(ms / hourMs) * hourMs;
const hourUp = (ms: number): number => Math.ceil(ms / hourMs) * hourMs;
const bad = (param: string, hint: string) =>
  new DroverError('invalid_request', `${param}: ${hint}`, { param });

/** What a tenant was charged, by one dimension; the largest first, hours in their order. */
export function costsOf(book: CostBook, tenant: string, { by, fromMs, toMs }: CostsQuery) {
  const groups = new Map<string | null, Sums>();
  const total = noSums();
  for (const row of book.rows(tenant, fromMs, toMs)) {
    const name = nameIn(row, by);
    const sums = groups.get(name) ?? noSums();
    groups.set(name, sums);
    add(sums, row.sums);
    add(total, row.sums);
  }
  const inOrder = [...groups].sort(([a, { usd }], [b, other]) =>
    by === 'hour' ? String(a).localeCompare(String(b)) : other.usd - usd,
  );
  return {
    object: 'costs',
    tenant,
    by,
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    data: inOrder.map(([name, sums]) => ({ [by]: name, ...shown(sums) })),
    total: shown(total),
  };
}

const nameIn = (row: Row, by: Dimension): string | null =>
  by === 'hour' ? new Date(row.hour).toISOString() : row[by];

/** Named like OpenAI's usage. */
const shown = ({ usd, promptTokens, completionTokens, requests, unpriced, uncounted }: Sums) => ({
  usd,
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  requests,
  unpriced,
  uncounted,
});
