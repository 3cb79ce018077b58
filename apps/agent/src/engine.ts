import type { Job, ProviderLimit, Report, Request } from '@drover/schemas';
import type { Call } from './core/call.ts';
import type { Finished } from './core/finish.ts';
import type { Health } from './core/health.ts';
import type { Backend } from './llama/describe.ts';
import type { Generation } from './llama/generate.ts';

/** The figures of a report; what has not been measured is absent. */
export type Figures = Pick<Report, 'rates' | 'ttftMs' | 'provider'>;

/** Follows whether the backend can take work. */
export type Watch = {
  /** The backend said something: it lives. */
  sawToken(): void;
  /** Asks now; resolves when the answer was taken. Never rejects. */
  check(): Promise<void>;
  stop(): void;
};

/** What answers requests for an agent: the llama.cpp beside it, or a provider elsewhere. */
export type Engine = {
  /** For messages. */
  readonly name: string;
  /** How a request is put to it. Pure. */
  plan(request: Request): Call;
  /** @throws BackendError when it gave no whole answer; the signal's reason when it was aborted */
  generate(generation: Generation, job: Job): Promise<Finished>;
  watch(onChange: (health: Health) => void): Watch;
  /** What it is, once it is up. @throws BackendError */
  describe(): Promise<Backend>;
  /** Takes the first figures. @throws BackendError */
  measure(backend: Backend): Promise<void>;
  /** What is known of its speed. @param measured what the agent measured of the replies that it ran */
  figures(measured: Figures): Figures;
  /** How many jobs it may have while `busy` run. */
  slots(total: number, busy: number): number;
  /** Why nothing may start now, and for how long. */
  limit(): ProviderLimit | undefined;
  /** Requests that it holds back itself; undefined when it does not tell. */
  deferred(): Promise<number | undefined>;
  close(): Promise<void>;
};
