import type { FastifyReply } from 'fastify';
import { keepalive } from '../core/sse.ts';

/** What may wait for a reader before it counts as one that does not read. */
const maxBufferedBytes = 1024 * 1024;

export type EventStreamOptions = {
  readonly keepaliveMs: number;
  readonly slowReaderMs: number;
  /** Asked when the response begins: what is known then. */
  readonly headers: () => Record<string, string>;
  readonly onKeepalive: () => void;
  readonly onSlowReader: () => void;
};

/**
 * One response of server-sent events. It begins with the first write, or with a comment when nothing was written for
 * `keepaliveMs`: before that an error can still have its own status. Every write goes to the socket at once.
 */
export class EventStream {
  readonly #reply: FastifyReply;
  readonly #options: EventStreamOptions;
  readonly #timer: NodeJS.Timeout;
  #begun = false;
  /** When somebody is expected to take the request, by `performance.now()`. */
  #expectedAtMs: number | undefined;

  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.#reply = reply;
    this.#options = options;
    this.#timer = setTimeout(() => this.#keepAlive(), options.keepaliveMs);
  }

  /** The status has been sent; from now on a failure is an event. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Nobody can take the request yet; the next comments tell the reader, who otherwise hears nothing. */
  expect(etaMs: number | undefined): void {
    this.#expectedAtMs = etaMs === undefined ? undefined : performance.now() + etaMs;
  }

  /** Resolves at once, unless the reader is far behind: then when it has caught up, or has been dropped. */
  write(text: string): Promise<void> | undefined {
    if (this.#reply.raw.destroyed) return undefined;
    this.#begin();
    this.#timer.refresh();
    if (this.#reply.raw.write(text) || this.#reply.raw.writableLength <= maxBufferedBytes) return undefined;
    return this.#caughtUp();
  }

  end(text: string): void {
    clearTimeout(this.#timer);
    if (this.#reply.raw.destroyed) return;
    this.#begin();
    this.#reply.raw.end(text);
  }

  /** Stops the comments; nothing else is written. */
  abandon(): void {
    clearTimeout(this.#timer);
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, {
      ...definedHeaders(this.#reply),
      ...this.#options.headers(),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // nginx would collect events otherwise.
      'x-accel-buffering': 'no',
    });
  }

  #keepAlive(): void {
    if (this.#reply.raw.destroyed) return;
    this.#options.onKeepalive();
    const leftMs = this.#expectedAtMs === undefined ? undefined : this.#expectedAtMs - performance.now();
    void this.write(keepalive(leftMs));
  }

  #caughtUp(): Promise<void> {
    const { raw } = this.#reply;
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        raw.off('drain', settle).off('close', settle);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#options.onSlowReader();
        raw.destroy();
      }, this.#options.slowReaderMs);
      raw.once('drain', settle).once('close', settle);
    });
  }
}

const definedHeaders = (reply: FastifyReply): Record<string, number | string | string[]> =>
  Object.fromEntries(
    Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
