import type { ClusterId } from '@drover/schemas';
import { tokensPerWindow } from './prefix.ts';

/** Links remembered per cluster; the one not used for longest goes first. About 500,000 tokens of prompts. */
const linksMax = 8_192;
/** Weight of the newest answer in how much of a promised cache was really there. */
const weight = 0.2;

/**
 * Which beginnings of prompts each cluster has answered lately. A guess about somebody else's memory: what the backend
 * says about its cache after each answer corrects it.
 */
export class PrefixIndex {
  readonly #links = new Map<ClusterId, Map<string, number>>();
  readonly #kept = new Map<ClusterId, number>();

  /** A request with this prefix was sent there. */
  learn(cluster: ClusterId, prefix: readonly string[], nowMs: number): void {
    const links = this.#links.get(cluster) ?? new Map<string, number>();
    this.#links.set(cluster, links);
    for (const link of prefix) {
      links.delete(link);
      links.set(link, nowMs);
    }
    for (const oldest of links.keys()) {
      if (links.size <= linksMax) break;
      links.delete(oldest);
    }
  }

  /** Prompt tokens of this prefix that the cluster is believed to have. */
  cachedTokens(cluster: ClusterId, prefix: readonly string[], nowMs: number, ttlMs: number): number {
    const links = this.#links.get(cluster);
    if (!links) return 0;
    let windows = 0;
    for (const link of prefix) {
      const usedAtMs = links.get(link);
      if (usedAtMs === undefined || nowMs - usedAtMs > ttlMs) break;
      windows++;
    }
    return windows * tokensPerWindow * (this.#kept.get(cluster) ?? 1);
  }

  /** The backend has told how much of the promised cache was there. */
  correct(cluster: ClusterId, expectedTokens: number, actualTokens: number): void {
    if (!(expectedTokens > 0)) return;
    const before = this.#kept.get(cluster) ?? 1;
    // Expected tokens were scaled by what was believed before.
    const share = Math.min(1, (actualTokens / expectedTokens) * before);
    // Never quite nothing, or a cluster that lost its cache once would not be tried again.
    this.#kept.set(cluster, Math.max(0.05, before + weight * (share - before)));
  }
}
