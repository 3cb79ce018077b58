import type { TenantId } from '@drover/schemas';

/** An output token takes about as much of a node as two prompt tokens (AIBrix's weights). */
const promptWeight = 1;
const outputWeight = 2;
/** Tenants remembered; the one that was charged longest ago goes first. */
const tenantsMax = 10_000;

/**
 * Virtual token counters (Sheng et al., "Fairness in Serving Large Language Models"): how many tokens each tenant has
 * had, weighted. Who has had least is next. A tenant that comes back after a pause is lifted to the least of those that
 * wait, so that a pause cannot be saved up.
 */
export class TokenCounters {
  readonly #had = new Map<TenantId, number>();

  had(tenant: TenantId): number {
    return this.#had.get(tenant) ?? 0;
  }

  /** Charges a dispatch by its estimate; a negative number of tokens gives back what was charged too much. */
  charge(tenant: TenantId, tokens: { prompt: number; output: number }, weight: number): void {
    const charged = (promptWeight * tokens.prompt + outputWeight * tokens.output) / weight;
    const sum = this.had(tenant) + charged;
    this.#had.delete(tenant);
    this.#had.set(tenant, sum);
    for (const oldest of this.#had.keys()) {
      if (this.#had.size <= tenantsMax) break;
      this.#had.delete(oldest);
    }
  }

  /** A tenant that had nothing waiting has something now, beside those that wait. */
  lift(tenant: TenantId, waiting: Iterable<TenantId>): void {
    let least = Number.POSITIVE_INFINITY;
    for (const other of waiting) if (other !== tenant) least = Math.min(least, this.had(other));
    if (least !== Number.POSITIVE_INFINITY && this.had(tenant) < least) this.#had.set(tenant, least);
  }
}
