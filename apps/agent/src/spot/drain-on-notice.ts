import type { Logger } from '@drover/runtime';
import type { Agent } from '../agent.ts';
import type { Config } from '../config.ts';
import { drainBudgetMs, timeLeftMs } from '../core/spot/notice.ts';
import type { Metrics } from '../metrics.ts';
import { spotSource } from './source.ts';
import { SpotWatch } from './watch.ts';

/**
 * Drains the agent when its cloud says that this machine will go, unless `SPOT_NOTICE` is off. The agent then stays drained:
 * whoever takes the machine away ends it. `restart` is called when the notice was withdrawn: only a fresh start works again.
 */
export function drainOnNotice(
  agent: Agent,
  { config, metrics, log, restart }: { config: Config; metrics: Metrics; log: Logger; restart: () => void },
): SpotWatch | undefined {
  const cloud = config.SPOT_NOTICE;
  if (cloud === 'off') return undefined;
  const listener = {
    onAnswer: (outcome: string) => metrics.spotPolls.inc({ outcome }),
    onNotice: (notice: Parameters<typeof drainBudgetMs>[1]) => {
      const nowMs = Date.now();
      const budgetMs = drainBudgetMs(config.SPOT_DRAIN_MS, notice, nowMs);
      metrics.spotNotices.inc({ cloud });
      log.warn({ ...notice, leftMs: timeLeftMs(notice, nowMs), budgetMs }, 'this machine will be taken away');
      void agent.drain(budgetMs).then(() => log.info('drained'));
    },
    onWithdrawn: () => {
      log.warn('the notice was withdrawn');
      restart();
    },
  };
  return new SpotWatch(spotSource(cloud, config.SPOT_METADATA_URL), config.SPOT_POLL_MS, listener, log);
}
