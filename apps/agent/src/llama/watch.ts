import { z } from 'zod';
import { type Health, type Probe, takeProbe, unknownHealth } from '../core/health.ts';
import { BackendError } from './backend-error.ts';
import type { LlamaHttp } from './http.ts';

const timeoutMs = 1_000;
const anyAnswer = z.object({});

/** Asks llama.cpp for its health all the time, and tells when it comes or goes. */
export class HealthWatch {
  readonly #http: LlamaHttp;
  readonly #onChange: (health: Health) => void;
  readonly #ticker: NodeJS.Timeout;
  #health: Health;
  #lastTokenMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(http: LlamaHttp, intervalMs: number, onChange: (health: Health) => void) {
    this.#http = http;
    this.#onChange = onChange;
    this.#health = unknownHealth(performance.now());
    this.#ticker = setInterval(() => this.#tick(), intervalMs);
    void this.check();
  }

  get health(): Health {
    return this.#health;
  }

  /** The backend said a token: it lives. */
  sawToken(): void {
    this.#lastTokenMs = performance.now();
  }

  /** Asks now, unless a question is open; resolves when the answer has been taken. Never rejects. */
  check(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  stop(): void {
    clearInterval(this.#ticker);
  }

  #tick(): void {
    if (!this.#asking) {
      void this.check();
      return;
    }
    // After what has arrived was read: this process may be the slow one.
    setImmediate(() => {
      if (this.#asking) this.#take({ kind: 'silent' });
    });
  }

  async #ask(): Promise<void> {
    this.#take(await this.#probe());
  }

  #take(probe: Probe): void {
    const before = this.#health;
    this.#health = takeProbe(before, probe, this.#lastTokenMs, performance.now());
    if (this.#health.state !== before.state) this.#onChange(this.#health);
  }

  async #probe(): Promise<Probe> {
    try {
      await this.#http.get('/health', anyAnswer, timeoutMs);
      return { kind: 'up' };
    } catch (error) {
      if (!(error instanceof BackendError)) return { kind: 'silent' };
      if (error.refusal.kind === 'down' && error.cause === undefined) return { kind: 'loading' };
      return { kind: 'gone', message: error.message };
    }
  }
}
