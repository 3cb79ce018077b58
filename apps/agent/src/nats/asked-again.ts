import type { Logger, Nats } from '@drover/runtime';
import { subjects, tokenOf } from '@drover/schemas';

/** Several readers of one reply may have lost the same: they are answered together. */
const answerEveryMs = 250;

/**
 * Calls `onAsked` for a reply of which a reader misses something that the replay buffer cannot give it now: its stream has no
 * leader. All agents hear it; who says that reply knows. At most four times a second for each, whoever asks.
 */
export function followAskedAgain(
  nats: Nats,
  log: Logger,
  onAsked: (tenant: string, id: string) => void,
): void {
  const lately = new Set<string>();
  nats.nc.subscribe(subjects.again('*', '*'), {
    callback: (error, { subject }) => {
      if (error) return log.error({ error: error.message }, 'readers that miss something cannot be heard');
      if (lately.has(subject)) return;
      lately.add(subject);
      setTimeout(() => lately.delete(subject), answerEveryMs).unref();
      onAsked(tokenOf(subject, 2), tokenOf(subject, 3));
    },
  });
}
