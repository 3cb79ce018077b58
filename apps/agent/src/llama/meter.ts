import type { Report } from '@drover/schemas';
import type { Call } from '../core/call.ts';
import type { Timings } from '../core/finish.ts';
import { forgetSpeeds, noRates, type Observation, observe, statedRates, statedTtft } from '../core/rates.ts';

/** One reply being measured. */
export type MeteredReply = {
  /** So many units more; the first tells the time to first token when the reply has one to tell. */
  said(units: number, ttftMs?: number): void;
  /** The reply is over, however it ended. */
  over(timings?: Timings): void;
};

/** Measures the backend from the replies that run on it. */
export class Meter {
  #rates = noRates;

  /** What may be stated now; figures that have not been measured are absent. */
  get figures(): Pick<Report, 'rates' | 'ttftMs'> {
    const rates = statedRates(this.#rates);
    const ttftMs = statedTtft(this.#rates, performance.now());
    return { ...(rates ? { rates } : {}), ...(ttftMs ? { ttftMs } : {}) };
  }

  /** Another backend: its speeds are not those of the last one. */
  forget(): void {
    this.#rates = forgetSpeeds(this.#rates);
  }

  begin(call: Call): MeteredReply {
    return isOpaque(call) ? this.#beginOpaque() : this.#beginStream();
  }

  #beginStream(): MeteredReply {
    let begun = false;
    return {
      said: (units, ttftMs) => {
        const later = begun ? units : units - 1;
        if (!begun) this.#observe({ kind: 'first-token', ...(ttftMs === undefined ? {} : { ttftMs }) });
        begun = true;
        if (later > 0) this.#observe({ kind: 'tokens', count: later });
      },
      over: (timings) => {
        if (begun) this.#observe({ kind: 'last-token' });
        if (timings) this.#observe({ kind: 'prompt', timings });
      },
    };
  }

  #beginOpaque(): MeteredReply {
    this.#observe({ kind: 'opaque-begin' });
    return {
      said: () => {},
      over: (timings) => {
        this.#observe({ kind: 'opaque-end' });
        if (timings) this.#observe({ kind: 'prompt', timings });
      },
    };
  }

  #observe(observation: Observation): void {
    this.#rates = observe(this.#rates, observation, performance.now());
  }
}

/** A body shows no tokens while it runs, and several choices decode in several slots of one call. */
const isOpaque = (call: Call): boolean =>
  call.mode === 'body' || (call.mode === 'deltas' && typeof call.body.n === 'number' && call.body.n > 1);
