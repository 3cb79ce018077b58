import type { ClusterId } from '@drover/schemas';

/** What happened this long ago counts half. */
const halfLifeMs = 900_000;
/** Fewer output tokens than this make no average. */
const tokensMin = 100;

type Account = { usd: number; tokens: number; atMs: number };

/**
 * What each cluster has really cost per 1,000 output tokens lately: price × nodes × time, idle and boot time included,
 * over the tokens delivered. The one figure of the three that somebody pays.
 */
export class Realised {
  readonly #accounts = new Map<ClusterId, Account>();

  /** The cluster has had `nodes` nodes since the last call. @param usdPerHour of one node, overhead included */
  pay(cluster: ClusterId, nodes: number, usdPerHour: number, nowMs: number): void {
    const account = this.#accounts.get(cluster);
    if (!account) {
      this.#accounts.set(cluster, { usd: 0, tokens: 0, atMs: nowMs });
      return;
    }
    const elapsedMs = Math.max(0, nowMs - account.atMs);
    const fading = 0.5 ** (elapsedMs / halfLifeMs);
    account.usd = account.usd * fading + (usdPerHour * nodes * elapsedMs) / 3_600_000;
    account.tokens *= fading;
    account.atMs = nowMs;
  }

  /** A provider was paid for tokens. */
  spend(cluster: ClusterId, usd: number): void {
    const account = this.#accounts.get(cluster);
    if (account) account.usd += usd;
  }

  deliver(cluster: ClusterId, outputTokens: number): void {
    const account = this.#accounts.get(cluster);
    if (account) account.tokens += outputTokens;
  }

  /** Undefined while there is too little to go by. */
  usdPer1k(cluster: ClusterId): number | undefined {
    const account = this.#accounts.get(cluster);
    return account && account.tokens >= tokensMin ? (account.usd / account.tokens) * 1_000 : undefined;
  }
}
