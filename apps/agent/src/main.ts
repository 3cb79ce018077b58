import {
  connectNats,
  createLogger,
  createRegistry,
  redacted,
  runUntilSignal,
  serveMetrics,
} from '@drover/runtime';
import { Agent } from './agent.ts';
import { readConfig } from './config.ts';
import { createMetrics } from './metrics.ts';
import { drainOnNotice } from './spot/drain-on-notice.ts';

const config = readConfig(process.env);
const log = createLogger('agent', config.LOG_LEVEL);
log.info({ config: redacted(config) }, 'starting');

const metrics = createMetrics(createRegistry('agent'));
let started: Agent | undefined;
// It answers at once: a process that waits for NATS is alive, and starting it again would not help.
await serveMetrics(metrics.registry, {
  host: config.METRICS_HOST,
  port: config.METRICS_PORT,
  ready: () => started?.probe() ?? { ok: false, detail: 'nats is not connected' },
});
const nats = await connectNats(`agent-${config.CLUSTER}`, config, log);
const agent = new Agent({ config, nats, log, metrics });
started = agent;

const spot = drainOnNotice(agent, {
  config,
  metrics,
  log,
  restart: () => process.kill(process.pid, 'SIGTERM'),
});

runUntilSignal(log, async () => {
  spot?.stop();
  await agent.stop();
  await nats.nc.drain();
});
