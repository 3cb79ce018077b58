import { type Health, unknownHealth } from '../core/health.ts';
import type { Watch } from '../engine.ts';
import type { ProviderHttp } from './http.ts';

/** Costs nothing, and every OpenAI-compatible server answers it somehow. */
const path = '/models';
const timeoutMs = 5_000;
/** A provider that is away is asked more often, so that it is missed for no longer than needed. */
const downEveryMs = 2_000;
/** Who says tokens is not away, whatever its list of models does. */
const spokeLatelyMs = 10_000;
/** One slow answer over the internet means nothing. */
const silencesMax = 2;

/**
 * Asks a provider now and then whether it is there, beside the requests and never on their way. Up: it answers, and takes
 * the key. Down: it refuses connections or the key, breaks (5xx), or is silent twice in a row.
 */
export class ProviderWatch implements Watch {
  readonly #http: ProviderHttp;
  readonly #intervalMs: number;
  readonly #onChange: (health: Health) => void;
  #health: Health = unknownHealth(performance.now());
  #spokeMs = Number.NEGATIVE_INFINITY;
  #silences = 0;
  #asking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(http: ProviderHttp, intervalMs: number, onChange: (health: Health) => void) {
    this.#http = http;
    this.#intervalMs = intervalMs;
    this.#onChange = onChange;
    void this.check();
  }

  sawToken(): void {
    this.#spokeMs = performance.now();
  }

  check(): Promise<void> {
    clearTimeout(this.#timer);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
      if (this.#stopped) return;
      const everyMs = this.#health.state === 'up' ? this.#intervalMs : downEveryMs;
      this.#timer = setTimeout(() => void this.check(), Math.min(everyMs, this.#intervalMs));
    });
    return this.#asking;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    let problem: string | undefined;
    try {
      const status = await this.#http.status(path, timeoutMs);
      this.#silences = 0;
      if (status === 401) problem = 'the provider refuses the key';
      else if (status >= 500) problem = `the provider answers with status ${status}`;
    } catch (error) {
      const isSilent = error instanceof Error && error.name === 'TimeoutError';
      if (isSilent && ++this.#silences < silencesMax) return;
      problem = isSilent ? 'the provider does not answer' : String(error);
    }
    this.#take(problem);
  }

  #take(problem: string | undefined): void {
    if (this.#stopped) return;
    const nowMs = performance.now();
    if (problem !== undefined && nowMs - this.#spokeMs < spokeLatelyMs && this.#health.state === 'up') return;
    const before = this.#health.state;
    this.#health =
      problem === undefined
        ? { state: 'up', lastUpMs: nowMs, bootMs: undefined }
        : { state: 'down', sinceMs: nowMs, reason: problem, seenDown: true };
    if (this.#health.state !== before) this.#onChange(this.#health);
  }
}
