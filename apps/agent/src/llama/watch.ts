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
    this.#ticker = setInterval(() => void this.check(), intervalMs);
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

  async #ask(): Promise<void> {
    const probe = await this.#probe();
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
