import type { Logger, Nats } from '@drover/runtime';
import { streams, subjects } from '@drover/schemas';

/**
 * Calls `onDoubt` when LLM_REPLIES has a new leader. Replies are published plainly: what was said between the death of one
 * leader and the election of the next was heard by those who listened, and stored by nobody.
 */
export function followReplayBuffer(nats: Nats, log: Logger, onDoubt: () => void): void {
  nats.nc.subscribe(subjects.leaderElected(streams.replies.name), {
    callback: (error) => {
      if (error) log.error({ error: error.message }, 'a new leader of the replies cannot be heard');
      else onDoubt();
    },
  });
}
