import type { Logger, Nats } from '@drover/runtime';
import type { Catalogue, Policy } from '@drover/schemas';
import type { Config } from '../config.ts';
import type { CostBook } from '../core/cost-book.ts';
import type { RateLimiter } from '../core/rate-limit.ts';
import type { Metrics } from '../metrics.ts';
import type { Budgets } from '../nats/budgets.ts';
import type { LedgerFeed } from '../nats/ledger.ts';
import type { FleetFeed } from '../nats/reports.ts';
import type { Setting } from '../nats/settings.ts';
import type { Authenticator } from './authenticate.ts';

/** What the routes stand on. */
export type Ingress = {
  readonly nats: Nats;
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly catalogue: Setting<Catalogue>;
  readonly policy: Setting<Policy>;
  readonly fleet: FleetFeed;
  /** What every request cost, added up as the ledger is read. */
  readonly book: CostBook;
  readonly ledger: LedgerFeed;
  readonly budgets: Budgets;
  readonly limiter: RateLimiter;
  readonly authenticator: Authenticator;
  /** True from the moment the process was told to stop: readers that are cut off then have not left by themselves. */
  draining(): boolean;
};
