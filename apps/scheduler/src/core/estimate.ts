import type { Policy, Provider, Request, Tariff } from '@drover/schemas';
import { marginalUsd, shareUsd, type Work } from './marginal.ts';
import { type Lengths, priorOutputTokens } from './output-lengths.ts';
import { decodeTps, slotsPerNode } from './rates.ts';
import type { Candidate, ClusterView, Prediction, TokenEstimate } from './types.ts';

/** Beside each decoding stream, a prompt is read this much slower; measured on CPUs by others (see docs/decisions). */
const prefillContention = 0.3;

/** Output tokens: the least of max_tokens and the lengths of this tenant's answers. */
export function estimateTokens(
  request: Request,
  promptTokens: number,
  known: Lengths | undefined,
): TokenEstimate {
  const limit = maxTokens(request);
  return {
    promptTokens,
    outputTokens: Math.min(limit, known?.usual ?? priorOutputTokens),
    outputTokensHigh: Math.min(limit, known?.long ?? priorOutputTokens),
    outputBasis: known ? 'learned' : 'assumed',
  };
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

/** What is known of the place beside its rates. */
export type Circumstances = {
  /** Actual ÷ predicted time of its last answers. */
  readonly residual: number;
  /** Prompt tokens that need not be computed again. */
  readonly cachedTokens: number;
  /** Idle time that ends with this request instead of with the node's release. */
  readonly idleSeconds: number;
};

const plain: Circumstances = { residual: 1, cachedTokens: 0, idleSeconds: 0 };

/** The circumstances of a candidate, as far as the policy takes them into account. */
export function circumstancesOf(candidate: Candidate, policy: Policy): Circumstances {
  const { residual = 1, cachedTokens = 0, idleMs = 0 } = candidate;
  return {
    residual: policy.residuals ? residual : 1,
    cachedTokens: policy.affinity.enabled ? cachedTokens : 0,
    idleSeconds: policy.scaling ? Math.min(idleMs, policy.scaling.coolDownCheapestMs) / 1_000 : 0,
  };
}

/**
 * What the request would get as the next job of a cluster that has `load` of them: wait for a slot if all are taken,
 * prefill of what is not cached, then decode beside the others. Undefined while a rate that it needs, or the price, is
 * unknown. The share of the node is prefill alone, and decode divided among those who decode together.
 */
export function predict(
  estimate: TokenEstimate,
  view: ClusterView,
  load: number,
  tariff: Tariff | undefined,
  { residual, cachedTokens, idleSeconds }: Circumstances = plain,
): Prediction | undefined {
  if (view.provider) return predictProvider(estimate, view, view.provider, load, tariff, residual);
  const { promptTokens, outputTokens, outputTokensHigh } = estimate;
  if (!tariff || !view.rates?.prefillTps || view.nodes === 0) return undefined;
  const concurrency = Math.min(slotsPerNode(view), Math.floor(load / view.nodes) + 1);
  const together = outputTokens === 0 ? Number.POSITIVE_INFINITY : decodeTps(view.rates.decode, concurrency);
  if (together === undefined) return undefined;

  const prefillAlone = (residual * Math.max(0, promptTokens - cachedTokens)) / view.rates.prefillTps;
  const prefillSeconds = prefillAlone * (1 + prefillContention * (concurrency - 1));
  const tpotSeconds = (residual * concurrency) / together;
  const ahead = Math.max(0, load + 1 - view.slots) / Math.max(1, view.slots);
  const ttftSeconds = ahead * (prefillSeconds + outputTokens * tpotSeconds) + prefillSeconds;
  const totalSeconds = ttftSeconds + outputTokens * tpotSeconds;
  const work: Work = {
    nodeSeconds: prefillAlone + (residual * outputTokens) / together,
    idleSeconds,
    totalSeconds,
    bootSeconds: (view.bootMs ?? 0) / 1_000,
    promptTokens,
    outputTokens,
  };
  return {
    ttftMs: ttftSeconds * 1_000,
    tpotMs: tpotSeconds * 1_000,
    totalMs: totalSeconds * 1_000,
    totalHighMs: (ttftSeconds + outputTokensHigh * tpotSeconds) * 1_000,
    marginalUsd: marginalUsd(tariff, work),
    shareUsd: shareUsd(tariff, work),
  };
}

/**
 * What the request would get of a provider: its usual time to first token and its usual speed, whoever else is there, as
 * long as it has a slot. It costs its tokens, and nothing else.
 */
function predictProvider(
  { promptTokens, outputTokens, outputTokensHigh }: TokenEstimate,
  { rates, slots }: ClusterView,
  { ttftMs: usualMs }: Provider,
  load: number,
  tariff: Tariff | undefined,
  residual: number,
): Prediction | undefined {
  if (!tariff?.usdPerMillion || usualMs === undefined) return undefined;
  const tps = outputTokens === 0 ? Number.POSITIVE_INFINITY : decodeTps(rates?.decode ?? [], 1);
  if (tps === undefined) return undefined;
  const tpotMs = (residual * 1_000) / tps;
  const ahead = Math.max(0, load + 1 - slots) / Math.max(1, slots);
  const aloneMs = residual * usualMs;
  const ttftMs = aloneMs + ahead * (aloneMs + outputTokens * tpotMs);
  const totalMs = ttftMs + outputTokens * tpotMs;
  const work: Work = {
    nodeSeconds: 0,
    idleSeconds: 0,
    totalSeconds: totalMs / 1_000,
    bootSeconds: 0,
    promptTokens,
    outputTokens,
  };
  return {
    ttftMs,
    tpotMs,
    totalMs,
    totalHighMs: ttftMs + outputTokensHigh * tpotMs,
    marginalUsd: marginalUsd(tariff, work),
    shareUsd: shareUsd(tariff, work),
  };
}
