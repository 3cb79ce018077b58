/** How long after a request to stop another one counts as the same: npm passes on the Ctrl-C that we got as well. */
const sameRequestMs = 700;

export type StopRequest = {
  /** Aborts with the first request to stop. */
  readonly signal: AbortSignal;
  /** Resolves with the first request to stop. */
  readonly requested: Promise<void>;
  /** Called when the person asks again. */
  onSecond(listener: () => void): void;
};

/**
 * Listens to whoever may ask this process to stop: Ctrl-C, SIGTERM, a terminal that closes, and start.mjs when it was
 * killed (its channel to us closes then).
 */
export function onStopRequest(): StopRequest {
  const controller = new AbortController();
  const requested = Promise.withResolvers<void>();
  let firstAtMs: number | undefined;
  let second: (() => void) | undefined;
  const ask = () => {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now();
      controller.abort(new DOMException('asked to stop', 'AbortError'));
      requested.resolve();
    } else if (performance.now() - firstAtMs > sameRequestMs) {
      second?.();
    }
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, ask);
  process.once('disconnect', ask);
  return {
    signal: controller.signal,
    requested: requested.promise,
    onSecond: (listener) => {
      second = listener;
    },
  };
}
