import type { Attempt } from '../attempt.ts';
import type { ReplyWriter } from './reply-writer.ts';

/** Longer than three nats-servers need for an election (4 to 9 s) after one of them died. */
const keepMs = 15_000;

/** Replies that are complete: whoever finds that some of it was not stored can still have it said again. */
export class SaidLately {
  readonly #attempts = new Map<Attempt, NodeJS.Timeout>();

  get all(): Iterable<ReplyWriter> {
    return [...this.#attempts.keys()].map(({ writer }) => writer);
  }

  /** The reply to this request, when it is one of these. */
  find(tenant: string, id: string): ReplyWriter | undefined {
    const isIt = ({ job: { request } }: Attempt) => request.tenant === tenant && request.id === id;
    return [...this.#attempts.keys()].findLast(isIt)?.writer;
  }

  /** Keeps it for a while, and then mutes it. */
  keep(attempt: Attempt): void {
    const timer = setTimeout(() => this.#forget(attempt), keepMs).unref();
    this.#attempts.set(attempt, timer);
  }

  forgetAll(): void {
    for (const [attempt, timer] of this.#attempts) {
      clearTimeout(timer);
      this.#forget(attempt);
    }
  }

  #forget(attempt: Attempt): void {
    this.#attempts.delete(attempt);
    attempt.writer.mute();
  }
}
