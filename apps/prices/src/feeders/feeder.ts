import type { Tariff } from '@drover/schemas';
import type { Answer } from '../core/answer.ts';
import type { FeederName, SourceOf } from '../core/plan.ts';

/** The price of one cluster, from where its source says. Never rejects for what the world does. */
export type Ask<Name extends FeederName> = (
  cluster: string,
  source: SourceOf<Name>,
  nowMs: number,
) => Promise<Answer<Tariff>>;

/**
 * A place that prices come from. Called once per turn, so that what several clusters need is fetched once: a price list is
 * never older than the turn.
 */
export type Feeder<Name extends FeederName> = (signal: AbortSignal) => Ask<Name>;

export type Feeders = { readonly [Name in FeederName]: Feeder<Name> };
