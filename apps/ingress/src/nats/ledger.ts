import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger, Nats } from '@drover/runtime';
import { type LedgerRecord, ledgerRecord, parseMessage, streams } from '@drover/schemas';
import { type ConsumerMessages, DeliverPolicy, type JsMsg } from '@nats-io/jetstream';
import type { CostBook } from '../core/cost-book.ts';

export type LedgerFeed = {
  /** How far the ledger has been read; undefined until everything that was there at the start has been. */
  readonly position: number | undefined;
  /** Resolves to whether the ledger has been read up to `seq`, at the latest after `withinMs`. */
  reached(seq: number, withinMs: number): Promise<boolean>;
  stop(): void;
};

const retryMs = 500;
/**
 * How long one pull stands. The client library waits this long before it tries again after a failed look at its consumer, so
 * it bounds how long a restart of the server keeps budgets waiting.
 */
const pullMs = 2_000;

/**
 * Adds the whole ledger to `book`, oldest first, and then every record as it is written. Returns at once, and begins when
 * the stream exists.
 * @param onNew called for records that were written after the start
 */
export function followLedger(
  nats: Nats,
  book: CostBook,
  log: Logger,
  onNew: (record: LedgerRecord) => void,
): LedgerFeed {
  /** The end of the stream when reading began. */
  let startSeq: number | undefined;
  let position: number | undefined;
  let stopped = false;
  let messages: ConsumerMessages | undefined;
  const waiting = new Set<{ readonly seq: number; readonly resolve: (reached: boolean) => void }>();
  void start();
  return {
    get position() {
      return position;
    },
    reached: (seq, withinMs) => {
      if (isReached(seq)) return Promise.resolve(true);
      return new Promise((resolve) => {
        const waiter = {
          seq,
          resolve: (reached: boolean) => {
            clearTimeout(timer);
            waiting.delete(waiter);
            resolve(reached);
          },
        };
        const timer = setTimeout(() => waiter.resolve(false), withinMs).unref();
        waiting.add(waiter);
      });
    },
    stop: () => {
      stopped = true;
      messages?.stop();
      for (const waiter of waiting) waiter.resolve(false);
    },
  };

  function isReached(seq: number): boolean {
    return position !== undefined && position >= seq;
  }

  async function start(): Promise<void> {
    while (!stopped) {
      try {
        await read();
      } catch (error) {
        log.debug({ error: String(error) }, 'no ledger yet');
      }
      if (!stopped) await sleep(retryMs);
    }
  }

  /** Reads until it is stopped, or until the client library gives its consumer up. What was read before is not added twice. */
  async function read(): Promise<void> {
    const { state } = await nats.jsm.streams.info(streams.ledger.name);
    // Records that have aged out are as good as read.
    if (state.messages === 0) arrive(state.last_seq);
    startSeq ??= state.last_seq;
    const consumer = await nats.js.consumers.get(streams.ledger.name, { deliver_policy: DeliverPolicy.All });
    messages = await consumer.consume({ callback: take, expires: pullMs, idle_heartbeat: pullMs / 2 });
    if (stopped) messages.stop();
    const error = await messages.closed();
    if (!stopped) log.warn({ error: String(error) }, 'the ledger is read again');
  }

  function take(message: JsMsg): void {
    const { seq } = message;
    const parsed = parseMessage(ledgerRecord, message.data);
    if (parsed.ok) {
      if (seq > book.seq && seq > (startSeq ?? 0)) onNew(parsed.value);
      book.add(parsed.value, seq);
    } else {
      log.error({ seq, problem: parsed.problem }, 'ledger record refused');
    }
    const isAtEnd = message.info.pending === 0 || seq >= (startSeq ?? 0);
    if (position !== undefined) arrive(seq);
    else if (isAtEnd) arrive(Math.max(seq, startSeq ?? 0));
  }

  function arrive(seq: number): void {
    position = Math.max(position ?? 0, seq);
    for (const waiter of waiting) if (isReached(waiter.seq)) waiter.resolve(true);
  }
}
