import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, type Nats, watchBucket } from '@drover/runtime';
import { buckets, type Catalogue, catalogue, policyKeys } from '@drover/schemas';

export type CatalogueFeed = {
  current(): Catalogue | undefined;
  /** Resolves when the first attempt to read it has succeeded or failed. */
  readonly tried: Promise<void>;
  stop(): void;
};

const retryMs = 500;

/**
 * Follows the models on offer. Returns at once: until the bucket exists and has a catalogue, `current()` is undefined.
 * A catalogue that is deleted or does not parse leaves the last good one in force.
 */
export function followCatalogue(nats: Nats, log: Logger): CatalogueFeed {
  let current: Catalogue | undefined;
  let stopped = false;
  let stopWatch = () => {};
  const tried = Promise.withResolvers<void>();
  void start();
  return {
    current: () => current,
    tried: tried.promise,
    stop: () => {
      stopped = true;
      stopWatch();
    },
  };

  async function start(): Promise<void> {
    while (!stopped) {
      try {
        const watch = await watchBucket(nats, {
          bucket: buckets.policy.name,
          key: policyKeys.models,
          schema: catalogue,
          onValue: (_key, value) => {
            current = value;
          },
          log,
        });
        tried.resolve();
        stopWatch = () => watch.stop();
        if (stopped) watch.stop();
        return;
      } catch (error) {
        tried.resolve();
        log.debug({ error: String(error) }, 'no model catalogue yet');
        await sleep(retryMs);
      }
    }
  }
}
