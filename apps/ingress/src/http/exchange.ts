import type { DroverError, Endpoint, FailureCode, OpenReply, Outcome, Priority } from '@drover/schemas';
import { overheadMs } from '../core/answer-headers.ts';
import type { Metrics } from '../metrics.ts';

/** The times of one request at this edge, and what is counted of them. One is made per request that runs a model. */
export class Exchange {
  readonly #metrics: Metrics;
  readonly #endpoint: Endpoint;
  readonly #startedAtMs: number;
  #priority: Priority | 'none' = 'none';
  #accepted = false;
  #lastUnitAtMs: number | undefined;
  #overheadMs: number | undefined;
  #counted = false;
  #tokens: number | undefined;

  /** @param startedAtMs when the request's headers had been read, by `performance.now()` */
  constructor(metrics: Metrics, endpoint: Endpoint, startedAtMs: number) {
    this.#metrics = metrics;
    this.#endpoint = endpoint;
    this.#startedAtMs = startedAtMs;
  }

  /** What Drover added to the time to first unit, in ms; undefined before the first unit. */
  get overheadMs(): number | undefined {
    return this.#overheadMs;
  }

  /**
   * Tokens that the request took, when that is known: an outcome that says nothing of tokens had none, unless it is an
   * answer.
   */
  get tokens(): number | undefined {
    return this.#tokens;
  }

  admitted(priority: Priority): void {
    this.#priority = priority;
  }

  accepted(): void {
    this.#accepted = true;
    this.#metrics.accept.observe({ endpoint: this.#endpoint }, this.#elapsedMs() / 1_000);
  }

  units(count: number, open: OpenReply | undefined): void {
    const nowMs = performance.now();
    if (this.#lastUnitAtMs === undefined) this.#first(nowMs - this.#startedAtMs, open);
    else {
      const gapSeconds = (nowMs - this.#lastUnitAtMs) / 1_000;
      this.#metrics.interToken.observe({ endpoint: this.#endpoint }, gapSeconds / Math.max(1, count));
    }
    this.#lastUnitAtMs = nowMs;
  }

  ended(outcome: Outcome): void {
    this.#count(outcome.status, outcome.status === 'done' ? 'ok' : codeOf(outcome));
    if (outcome.usage === undefined) {
      if (outcome.status !== 'done') this.#tokens = 0;
      return;
    }
    this.#tokens = outcome.usage.promptTokens + outcome.usage.completionTokens;
    const { promptTokens, completionTokens, cachedTokens } = outcome.usage;
    this.#metrics.tokens.inc({ kind: 'prompt' }, promptTokens);
    this.#metrics.tokens.inc({ kind: 'completion' }, completionTokens);
    if (cachedTokens !== undefined) this.#metrics.tokens.inc({ kind: 'cached' }, cachedTokens);
  }

  /** Ended by an error of this process or a refusal, unless it has been counted by its outcome. */
  refused(error: DroverError): void {
    if (!this.#accepted) this.#tokens = 0;
    this.#count(this.#accepted ? 'failed' : 'rejected', error.code);
  }

  /** The client left before the end. */
  abandoned(): void {
    this.#count('abandoned', 'cancelled');
  }

  #first(afterMs: number, open: OpenReply | undefined): void {
    this.#metrics.ttft.observe({ endpoint: this.#endpoint, priority: this.#priority }, afterMs / 1_000);
    if (open === undefined) return;
    this.#overheadMs = overheadMs(open, afterMs);
    this.#metrics.queueWait.observe({ priority: this.#priority }, open.queueMs / 1_000);
    this.#metrics.overhead.observe({ endpoint: this.#endpoint }, this.#overheadMs / 1_000);
  }

  #count(outcome: string, code: string): void {
    if (this.#counted) return;
    this.#counted = true;
    const endpoint = this.#endpoint;
    this.#metrics.requests.inc({ endpoint, outcome, code, priority: this.#priority });
    this.#metrics.duration.observe({ endpoint, outcome }, this.#elapsedMs() / 1_000);
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAtMs;
  }
}

const codeOf = (outcome: Exclude<Outcome, { status: 'done' }>): FailureCode =>
  outcome.status === 'failed' ? outcome.code : 'cancelled';
