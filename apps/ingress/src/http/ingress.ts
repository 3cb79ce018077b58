import type { Logger, Nats } from '@drover/runtime';
import type { Config } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import type { CatalogueFeed } from '../nats/catalogue.ts';
import type { FleetFeed } from '../nats/reports.ts';
import type { Authenticator } from './authenticate.ts';

/** What the routes stand on. */
export type Ingress = {
  readonly nats: Nats;
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly catalogue: CatalogueFeed;
  readonly fleet: FleetFeed;
  readonly authenticator: Authenticator;
  /** True from the moment the process was told to stop: readers that are cut off then have not left by themselves. */
  draining(): boolean;
};
