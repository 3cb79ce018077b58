/** No answer for this long, and no token either: the backend is wedged. Asked every 500 ms, that is seen within 2 s. */
const wedgedAfterMs = 1_500;

/** What asking llama.cpp for its health brought. */
export type Probe =
  | { readonly kind: 'up' }
  /** It listens and says that it loads its model. */
  | { readonly kind: 'loading' }
  /** Nobody listens, or it answers with an error. */
  | { readonly kind: 'gone'; readonly message: string }
  /** It took the connection and has not answered, so far or at all. */
  | { readonly kind: 'silent' };

/**
 * Whether the backend can take work.
 *
 *     down ──up──► up            silent for 1.5 s, gone or loading: down
 *      ▲            │            `sinceMs` is when it was first seen down, so that the next `up` tells the boot time
 *      └────────────┘
 */
export type Health =
  | { readonly state: 'up'; readonly lastUpMs: number; readonly bootMs: number | undefined }
  | { readonly state: 'down'; readonly sinceMs: number; readonly reason: string; readonly seenDown: boolean };

/** Nothing is known before the first answer. */
export const unknownHealth = (nowMs: number): Health => ({
  state: 'down',
  sinceMs: nowMs,
  reason: 'not asked yet',
  seenDown: false,
});

/**
 * Pure. Takes one answer.
 * @param lastTokenMs when the backend last said a token: who talks is not wedged, however busy
 */
export function takeProbe(health: Health, probe: Probe, lastTokenMs: number, nowMs: number): Health {
  switch (probe.kind) {
    case 'up':
      if (health.state === 'up') return { ...health, lastUpMs: nowMs };
      return {
        state: 'up',
        lastUpMs: nowMs,
        // A backend that was up before the agent looked has a boot time that nobody saw.
        bootMs: health.seenDown ? nowMs - health.sinceMs : undefined,
      };
    case 'loading':
      return down(health, 'llama.cpp loads its model', nowMs);
    case 'gone':
      return down(health, probe.message, nowMs);
    case 'silent': {
      const lastSignMs =
        health.state === 'up' ? Math.max(health.lastUpMs, lastTokenMs) : Number.NEGATIVE_INFINITY;
      return nowMs - lastSignMs < wedgedAfterMs ? health : down(health, 'llama.cpp does not answer', nowMs);
    }
  }
}

function down(health: Health, reason: string, nowMs: number): Health {
  const sinceMs = health.state === 'down' ? health.sinceMs : nowMs;
  return { state: 'down', sinceMs, reason, seenDown: true };
}
