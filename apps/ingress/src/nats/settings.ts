import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, type Nats, watchBucket } from '@drover/runtime';
import { buckets } from '@drover/schemas';
import type { z } from 'zod';

/** One key of LLM_POLICY, as it is now. */
export type Setting<T> = {
  current(): T | undefined;
  /** Resolves when the first attempt to read it has succeeded or failed. */
  readonly tried: Promise<void>;
  stop(): void;
};

const retryMs = 500;

/**
 * Follows a key of LLM_POLICY. Returns at once: until the bucket exists and has the key, `current()` is undefined.
 * A value that is deleted or does not parse leaves the last good one in force.
 */
export function followSetting<T>(nats: Nats, key: string, schema: z.ZodType<T>, log: Logger): Setting<T> {
  let current: T | undefined;
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
          key,
          schema,
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
        log.debug({ key, error: String(error) }, 'setting not read yet');
        await sleep(retryMs);
      }
    }
  }
}
