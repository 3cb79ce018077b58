import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@drover/runtime';
import type { SpotAnswer, SpotNotice } from '../core/spot/notice.ts';
import type { SpotSource } from './source.ts';

const backOffMaxMs = 10_000;

export type SpotListener = {
  /** Once: the machine will go. */
  onNotice(notice: SpotNotice): void;
  /** The notice is there no more, and neither is the machine gone. */
  onWithdrawn(): void;
  /** Each answer, for the metrics. */
  onAnswer(kind: SpotAnswer['kind']): void;
};

/** Asks again and again whether this machine will be taken away. Trouble with the metadata service is no notice. */
export class SpotWatch {
  readonly #source: SpotSource;
  readonly #everyMs: number;
  readonly #listener: SpotListener;
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  #noticed = false;
  #failures = 0;

  constructor(source: SpotSource, everyMs: number, listener: SpotListener, log: Logger) {
    this.#source = source;
    this.#everyMs = everyMs;
    this.#listener = listener;
    this.#log = log;
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const answer = await this.#ask(signal);
      if (signal.aborted) return;
      this.#take(answer);
      const backOffMs = Math.min(this.#everyMs * 2 ** Math.min(this.#failures, 10), backOffMaxMs);
      // A stop in the middle of the pause ends it early.
      await sleep(Math.max(this.#everyMs, this.#failures > 0 ? backOffMs : 0), undefined, { signal }).catch(
        () => {},
      );
    }
  }

  async #ask(signal: AbortSignal): Promise<SpotAnswer> {
    try {
      return await this.#source.ask(signal);
    } catch (error) {
      return { kind: 'failed', problem: String(error) };
    }
  }

  #take(answer: SpotAnswer): void {
    this.#listener.onAnswer(answer.kind);
    if (answer.kind === 'failed') {
      // Once per trouble: a machine without the service would fill its log.
      if (this.#failures++ === 0) this.#log.warn({ problem: answer.problem }, 'metadata service not read');
      return;
    }
    this.#failures = 0;
    if (answer.kind === 'notice' && !this.#noticed) {
      this.#noticed = true;
      this.#listener.onNotice(answer.notice);
    } else if (answer.kind === 'none' && this.#noticed) {
      this.#noticed = false;
      this.#listener.onWithdrawn();
    }
  }
}
