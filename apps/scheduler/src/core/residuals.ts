import type { ClusterId } from '@drover/schemas';

/** Weight of the newest answer: the last ten count for two thirds. */
const weight = 0.1;
/** One answer that hung must not make a cluster look unusable, nor a lucky one make it look free. */
const least = 0.5;
const most = 3;

/** Learns how wrong the predictions for each cluster are: the mean of actual ÷ predicted time, recent answers first. */
export class Residuals {
  readonly #factors = new Map<ClusterId, number>();

  /** @param predictedMs by the rates alone, before any correction */
  learn(cluster: ClusterId, predictedMs: number, actualMs: number): void {
    if (!(predictedMs > 0)) return;
    const ratio = Math.min(most, Math.max(least, actualMs / predictedMs));
    const before = this.#factors.get(cluster) ?? 1;
    this.#factors.set(cluster, before + weight * (ratio - before));
  }

  /** Undefined while nothing was learned. */
  factor(cluster: ClusterId): number | undefined {
    return this.#factors.get(cluster);
  }
}
