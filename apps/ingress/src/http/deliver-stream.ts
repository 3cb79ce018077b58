import { type DroverError, nothingSeen, type OpenReply, type Outcome } from '@drover/schemas';
import { ChunkWriter } from '../core/chunks.ts';
import { outcomeError, streamedEnvelope, toDroverError } from '../core/errors.ts';
import { done, errorEvent, type Seen } from '../core/sse.ts';
import { abandon, type Delivery, identityOf, knownHeaders, refuseReuse } from './deliver.ts';
import { EventStream } from './event-stream.ts';

/**
 * Writes the reply as OpenAI chunks, each as it comes. A failure before the response has begun is thrown and gets its
 * status; a later one is an `error` event, and the stream then ends without `[DONE]`.
 */
export async function deliverStream(
  delivery: Delivery,
  options: { includeUsage: boolean; seen?: Seen },
): Promise<void> {
  const { metrics } = delivery.ingress;
  let open: OpenReply | undefined;
  const stream = new EventStream(delivery.reply, {
    keepaliveMs: delivery.ingress.config.KEEPALIVE_MS,
    slowReaderMs: delivery.ingress.config.SLOW_READER_MS,
    headers: () => knownHeaders(open, delivery.exchange),
    onKeepalive: () => metrics.keepalives.inc(),
    onSlowReader: () => metrics.slowReaders.inc(),
  });
  metrics.streamsOpen.inc();
  try {
    await copy();
  } catch (error) {
    if (!stream.begun) throw error;
    fail(toDroverError(error));
  } finally {
    stream.abandon();
    delivery.submission.close();
    metrics.streamsOpen.dec();
  }

  async function copy(): Promise<void> {
    let chunks: ChunkWriter | undefined;
    for await (const event of delivery.submission.events) {
      switch (event.kind) {
        case 'open':
          refuseReuse(delivery);
          open = event.open;
          chunks ??= chunkWriter();
          break;
        case 'waiting':
          stream.expect(event.etaMs);
          break;
        case 'units': {
          stream.expect(undefined);
          delivery.exchange.units(event.units.length, open);
          chunks ??= chunkWriter();
          const text = chunks.units(event.at, event.units);
          const behind = text === '' ? undefined : stream.write(text);
          if (behind !== undefined) await behind;
          break;
        }
        case 'end':
          refuseReuse(delivery);
          return finish(event.outcome, chunks ?? chunkWriter());
        default:
          event satisfies never;
      }
    }
    abandon(delivery);
  }

  function chunkWriter(): ChunkWriter {
    const identity = identityOf(delivery.endpoint, delivery.submission.id, open?.model ?? delivery.model);
    const style = { mode: open?.mode ?? 'tokens', includeUsage: options.includeUsage } as const;
    return new ChunkWriter(identity, style, options.seen === undefined ? nothingSeen : options.seen.digest);
  }

  function finish(outcome: Outcome, chunks: ChunkWriter): void {
    if (outcome.status === 'done') {
      const last = chunks.end(outcome) + done;
      delivery.exchange.ended(outcome);
      stream.end(last);
    } else {
      delivery.exchange.ended(outcome);
      throw outcomeError(outcome);
    }
  }

  function fail(error: DroverError): void {
    delivery.exchange.refused(error);
    stream.end(errorEvent(streamedEnvelope(error)));
  }
}
