import {
  connectNats,
  createLogger,
  createRegistry,
  leaveNats,
  type Nats,
  redacted,
  runUntilSignal,
  serveMetrics,
} from '@drover/runtime';
import { schedulerConfig } from './config.ts';
import { createMetrics } from './metrics.ts';
import { waitForBootstrap } from './nats/bootstrapped.ts';
import { type RunningScheduler, startScheduler } from './start.ts';

const config = schedulerConfig(process.env);
const log = createLogger('scheduler', config.LOG_LEVEL).child({ scheduler: config.SCHEDULER_ID });
log.info(redacted(config), 'starting');
const registry = createRegistry('scheduler');
const metrics = createMetrics(registry);

let nats: Nats | undefined;
let running: RunningScheduler | undefined;
const server = await serveMetrics(registry, {
  host: config.METRICS_HOST,
  port: config.METRICS_PORT,
  ready: () => {
    if (!nats?.connected()) return { ok: false, detail: 'nats is not connected' };
    return running ? { ok: true } : { ok: false, detail: 'requests are not being consumed yet' };
  },
});
runUntilSignal(log, async () => {
  server.close();
  await running?.stop();
  if (nats) await leaveNats(nats);
});

nats = await connectNats(`scheduler-${config.SCHEDULER_ID}`, config, log);
await waitForBootstrap(nats, log);
running = await startScheduler(nats, { log, metrics, schedulerId: config.SCHEDULER_ID });
log.info('ready');
