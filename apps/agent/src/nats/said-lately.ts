import type { ReplyWriter } from './reply-writer.ts';

/** Longer than three nats-servers need for an election (4 to 9 s) after one of them died. */
const keepMs = 15_000;

/** Replies that are complete: whoever finds that some of it was not stored can still have it said again. */
export class SaidLately {
  readonly #writers = new Map<ReplyWriter, NodeJS.Timeout>();

  get all(): Iterable<ReplyWriter> {
    return this.#writers.keys();
  }

  /** Keeps it for a while, and then mutes it. */
  keep(writer: ReplyWriter): void {
    const timer = setTimeout(() => this.#forget(writer), keepMs).unref();
    this.#writers.set(writer, timer);
  }

  forgetAll(): void {
    for (const [writer, timer] of this.#writers) {
      clearTimeout(timer);
      this.#forget(writer);
    }
  }

  #forget(writer: ReplyWriter): void {
    this.#writers.delete(writer);
    writer.mute();
  }
}
