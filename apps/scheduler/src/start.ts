import { type Logger, type Nats, untilThere } from '@drover/runtime';
import type { SchedulerMetrics } from './metrics.ts';
import { subscribeCancels } from './nats/cancels.ts';
import { startDeadLetterWorker } from './nats/dead-letters.ts';
import { subscribeDepartures } from './nats/departures.ts';
import { subscribeEvents } from './nats/events.ts';
import { watchProfiles } from './nats/profiles.ts';
import { readLastReports, subscribeReports } from './nats/reports.ts';
import { consumeRequests } from './nats/requests.ts';
import { watchSettings } from './nats/settings.ts';
import { startSettler } from './nats/settler.ts';
import { ensureVolatileStreams, restoreVolatileStreams } from './nats/volatile-streams.ts';
import { readWakes, subscribeWakes } from './nats/wakes.ts';
import { Scaler } from './scaler.ts';
import { Scheduler } from './scheduler.ts';

export type RunningScheduler = {
  readonly scheduler: Scheduler;
  /** Stops pulling, gives back what waits, finishes what was begun. The connection stays open. */
  stop(): Promise<void>;
};

/**
 * Connects a scheduler with everything it listens to: first what it must know (settings, fleet), then the requests. A JetStream
 * that is away, or goes away meanwhile, is waited for.
 * @throws when streams, consumers or buckets are missing (bootstrap has not run)
 */
export async function startScheduler(
  nats: Nats,
  options: { log: Logger; metrics: SchedulerMetrics; schedulerId: string; random?: () => number },
): Promise<RunningScheduler> {
  const { log, metrics, schedulerId, random = Math.random } = options;
  const scheduler = new Scheduler({ nats, log, metrics, schedulerId, random });
  const { state, decisions } = scheduler;
  const onReport: Parameters<typeof subscribeReports>[1] = (report, receivedAtMs) => {
    state.hearReport(report, receivedAtMs);
    scheduler.wake();
  };

  const settings = await watchSettings(
    nats,
    {
      onPolicy: (policy) => {
        state.setPolicy(policy);
        log.info({ strategy: state.policy.value.strategy, revision: state.policy.revision }, 'policy');
        scheduler.wake();
      },
      onExperiment: (experiment) => {
        state.setExperiment(experiment);
        log.info({ experiment: experiment?.value.name, revision: experiment?.revision }, 'experiment');
        scheduler.wake();
      },
      onCatalogue: (catalogue) => {
        state.catalogue = catalogue;
      },
      onTariff: (cluster, tariff) => {
        state.setTariff(cluster, tariff);
        log.info({ cluster, usdPerHour: tariff?.usdPerHour }, 'price');
        scheduler.wake();
      },
      onCordon: (cluster, cordon) => {
        state.setCordon(cluster, cordon);
        log.info({ cluster, cordon }, cordon ? 'cluster closed' : 'cluster open');
        scheduler.wake();
      },
    },
    log,
  );
  const there = <T>(what: string, action: () => Promise<T>) => untilThere(nats, log, what, action);
  await there('memory streams', () => ensureVolatileStreams(nats));
  subscribeReports(nats, onReport, log);
  subscribeEvents(nats, (event) => scheduler.onEvent(event), log);
  subscribeDepartures(nats, (cluster, agent) => scheduler.onGone(cluster, agent), log);
  subscribeCancels(nats, (cancel) => scheduler.onCancel(cancel), log);
  decisions.subscribe((record) => scheduler.onDecision(record), log);
  await there('last reports', () => readLastReports(nats, onReport));
  const profiles = await there('profiles', () =>
    watchProfiles(nats, (profile) => state.profiles.set(profile.cluster, profile), log),
  );
  subscribeWakes(nats, (wake) => state.wanted.hear(wake, Date.now()), log);
  for (const wake of await there('wakes', () => readWakes(nats))) state.wanted.hear(wake, Date.now());

  const whenBack = () => {
    scheduler.onConnected();
    void restoreVolatileStreams(nats, log)
      .then(() => readLastReports(nats, onReport))
      // The next reports make it good.
      .catch((error) => log.warn({ error: String(error) }, 'last reports not read'));
  };
  nats.onReconnect(whenBack);
  scheduler.start();
  const deadLetters = await there('dead letters', () =>
    startDeadLetterWorker(nats, (reason) => metrics.deadLetters.inc({ reason }), log),
  );
  const settler = await there('settlement', () =>
    startSettler(
      nats,
      {
        onSettled: ({ status, portions }) => {
          metrics.settled.inc({ status });
          for (const { cluster, usd } of portions) metrics.settledUsd.inc({ cluster }, usd ?? 0);
        },
        onTrouble: (error) => {
          metrics.settleRetries.inc();
          log.warn({ error: String(error) }, 'request not settled, will be tried again');
        },
      },
      log,
    ),
  );
  const scaler = new Scaler({ nats, log, metrics, state, schedulerId });
  scaler.start();
  const requests = await consumeRequests(nats, (message) => scheduler.onRequest(message), log);

  return {
    scheduler,
    stop: async () => {
      nats.offReconnect(whenBack);
      settings.stop();
      profiles.stop();
      await scaler.stop();
      await requests.stop();
      await deadLetters.stop();
      await settler.stop();
      await scheduler.stop();
    },
  };
}
