import type { Request, Tariff } from '@drover/schemas';
import { usdOf } from './costs.ts';
import { priorOutputTokens } from './output-lengths.ts';
import { decodeTps, slotsPerNode } from './rates.ts';
import type { ClusterView, Prediction, TokenEstimate } from './types.ts';

/** Output tokens: the least of max_tokens and the usual length of this tenant's answers. */
export function estimateTokens(
  request: Request,
  promptTokens: number,
  usual: number | undefined,
): TokenEstimate {
  const outputBasis = usual === undefined ? 'assumed' : 'learned';
  const outputTokens = Math.min(maxTokens(request), usual ?? priorOutputTokens);
  return { promptTokens, outputTokens, outputBasis };
}

function maxTokens(request: Request): number {
  switch (request.endpoint) {
    case 'chat':
      return request.body.max_completion_tokens ?? request.body.max_tokens ?? Number.POSITIVE_INFINITY;
    case 'completion':
      return request.body.max_tokens ?? Number.POSITIVE_INFINITY;
    case 'embedding':
      return 0;
    default:
      return request satisfies never;
  }
}

/**
 * What the request would get as the next job of a cluster that has `load` of them: wait for a slot if all are taken,
 * prefill, then decode beside the others. Undefined while a rate that it needs, or the price, is unknown.
 *
 * The cost is the node-share of this request: prefill alone, decode divided among those who decode together.
 */
export function predict(
  estimate: TokenEstimate,
  view: ClusterView,
  load: number,
  tariff: Tariff | undefined,
): Prediction | undefined {
  const { promptTokens, outputTokens } = estimate;
  if (!tariff || !view.rates?.prefillTps || view.nodes === 0) return undefined;
  const concurrency = Math.min(slotsPerNode(view), Math.floor(load / view.nodes) + 1);
  const together = outputTokens === 0 ? Number.POSITIVE_INFINITY : decodeTps(view.rates.decode, concurrency);
  if (together === undefined) return undefined;
  const prefillSeconds = promptTokens / view.rates.prefillTps;
  const tpotSeconds = concurrency / together;
  const serviceSeconds = prefillSeconds + outputTokens * tpotSeconds;
  const ahead = Math.max(0, load + 1 - view.slots);
  const ttftSeconds = (ahead / Math.max(1, view.slots)) * serviceSeconds + prefillSeconds;
  return {
    ttftMs: ttftSeconds * 1_000,
    tpotMs: tpotSeconds * 1_000,
    totalMs: (ttftSeconds + outputTokens * tpotSeconds) * 1_000,
    usd: usdOf(tariff, prefillSeconds + outputTokens / together),
  };
}
