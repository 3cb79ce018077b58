import type { Nats } from '@drover/runtime';
import { type LimitsTaken, limitsTaken, parseMessage, subjects } from '@drover/schemas';
import { nuid } from 'nats';
import type { RateLimiter } from '../core/rate-limit.ts';

/** For so long an ingress does not know what others have let through. */
const tellEveryMs = 100;

/**
 * Tells the other ingresses what keys with limits take here, and takes from here what they tell. Nothing waits for it: each
 * answers by what it knows, and what all of them have let through together is missing to all of them a moment later.
 */
export function shareLimits(nats: Nats, limiter: RateLimiter): { stop(): void } {
  const from = nuid.next();
  const subscription = nats.nc.subscribe(subjects.limits('*'), {
    callback: (error, message) => {
      if (error) return;
      const parsed = parseMessage(limitsTaken, message.data);
      if (!parsed.ok || parsed.value.from === from) return;
      limiter.takenElsewhere(parsed.value.taken, performance.now());
    },
  });
  const tell = () => {
    // The client library drops what is published while the link is down; nothing is accepted then either.
    if (!nats.connected()) return;
    const taken = limiter.toTell();
    if (taken === undefined) return;
    const message: LimitsTaken = { v: 1, from, taken };
    nats.nc.publish(subjects.limits(from), JSON.stringify(message));
  };
  const timer = setInterval(tell, tellEveryMs).unref();
  return {
    stop: () => {
      clearInterval(timer);
      if (!nats.nc.isClosed()) tell();
      subscription.unsubscribe();
    },
  };
}
