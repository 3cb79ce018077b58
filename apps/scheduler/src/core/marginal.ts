import type { Tariff } from '@drover/schemas';
import { usdOf } from './costs.ts';

const secondsPerHour = 3_600;
/** A node that is taken away in the middle of an answer has done half of it on average; that half is done again. */
const redoFraction = 0.5;
/** What one token weighs as a server-sent event. */
const bytesPerToken = 300;

export type Work = {
  /** The request's share of the node while it runs. */
  readonly nodeSeconds: number;
  /** Idle time of the node that ends with this request instead of with the node's release. */
  readonly idleSeconds: number;
  /** From now to the end of the answer. */
  readonly totalSeconds: number;
  /** What it would take to have another node in the place of one that is taken away. */
  readonly bootSeconds: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
};

/** USD of a request's share of the node while it runs; an external provider's own prices where there is no node. */
export function shareUsd(tariff: Tariff, { nodeSeconds, promptTokens, outputTokens }: Work): number {
  const { usdPerMillion } = tariff;
  if (usdPerMillion)
    return (promptTokens * usdPerMillion.prompt + outputTokens * usdPerMillion.output) / 1_000_000;
  return usdOf(tariff, nodeSeconds);
}

/**
 * USD that a request adds to the bill: its share of the node, the idle time that it prolongs (a node that nobody uses is
 * released after its cool-down, and a request starts that anew), what is lost if the node is taken away meanwhile, and
 * the traffic out. Waking a cold cluster for it is not among these: wake.ts decides on that.
 */
export function marginalUsd(tariff: Tariff, work: Work): number {
  const risk = ((tariff.preemptPerHour ?? 0) * work.totalSeconds) / secondsPerHour;
  const egress = ((tariff.egressUsdPerGb ?? 0) * work.outputTokens * bytesPerToken) / 1e9;
  const idle = tariff.usdPerMillion ? 0 : usdOf(tariff, work.idleSeconds);
  const lost = tariff.usdPerMillion ? 0 : usdOf(tariff, risk * work.bootSeconds);
  return (shareUsd(tariff, work) + idle) * (1 + risk * redoFraction) + lost + egress;
}
