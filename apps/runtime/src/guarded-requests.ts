import { type NatsConnection, TimeoutError } from 'nats';

/**
 * Makes the requests of a connection fit for a link that breaks. One that is under way then fails at once: its answer, if there
 * is to be any, goes to a connection that is no more. One that is made meanwhile is sent when the link is back: the client
 * library would drop it, and its caller would wait for an answer to a question that nobody has heard. Both end as a request
 * does that nobody answered, so that whoever repeats those repeats these. JetStream's publishes and its API are requests too.
 * @returns what to call when the link breaks, and when it is back
 */
export function guardRequests(nc: NatsConnection): { down(): void; up(): void } {
  const send = nc.request.bind(nc);
  const underWay = new Set<(error: Error) => void>();
  let back: PromiseWithResolvers<void> | undefined;
  nc.request = async (subject, payload, options) => {
    if (back !== undefined) await within(options?.timeout ?? defaultTimeoutMs, back.promise);
    return new Promise((resolve, reject) => {
      underWay.add(reject);
      const settled = () => void underWay.delete(reject);
      send(subject, payload, options).then(resolve, reject).then(settled);
    });
  };
  return {
    down: () => {
      back ??= Promise.withResolvers();
      for (const reject of underWay) reject(new TimeoutError({ cause: 'the connection broke' }));
      underWay.clear();
    },
    up: () => {
      back?.resolve();
      back = undefined;
    },
  };
}

/** What the client library takes when its caller names none. */
const defaultTimeoutMs = 1_000;

/** @throws when `promise` does not resolve in time */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new TimeoutError({ cause: 'there is no connection' })), ms);
  await Promise.race([promise, late.promise]).finally(() => clearTimeout(timer));
}
