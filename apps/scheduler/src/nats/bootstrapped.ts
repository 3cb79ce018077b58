import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger, Nats } from '@drover/runtime';
import { buckets, consumersFor } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';

/** How long to wait before looking again for what bootstrap makes. */
const retryMs = 1_000;

/** Resolves once consumers and buckets are there. Another process makes them, and may come later than this one. */
export async function waitForBootstrap(nats: Nats, log: Logger): Promise<void> {
  while (true) {
    try {
      for (const { stream, name } of consumersFor([])) await nats.jsm.consumers.info(stream, name);
      for (const { name } of Object.values(buckets)) await new Kvm(nats.js).open(name);
      return;
    } catch (error) {
      log.warn({ error: String(error) }, 'waiting for streams and buckets (bootstrap)');
      await sleep(retryMs);
    }
  }
}
