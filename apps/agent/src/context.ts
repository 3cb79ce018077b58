import type { Logger, Nats } from '@drover/runtime';
import type { AgentId } from '@drover/schemas';
import type { Config } from './config.ts';
import type { Engine, Watch } from './engine.ts';
import type { Backend } from './llama/describe.ts';
import type { Meter } from './llama/meter.ts';
import type { Metrics } from './metrics.ts';
import type { SaidLately } from './nats/said-lately.ts';
import type { Running } from './running.ts';

/** What a job needs of the agent that runs it. */
export type Context = {
  readonly config: Config;
  readonly agent: AgentId;
  readonly nats: Nats;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly engine: Engine;
  readonly meter: Meter;
  readonly watch: Watch;
  readonly running: Running;
  readonly saidLately: SaidLately;
  /** Tells schedulers how it stands, before whatever is said next. */
  readonly reportNow: () => void;
};

/** A context at the moment a job starts: the backend is known. */
export type Workplace = Context & { readonly backend: Backend };
