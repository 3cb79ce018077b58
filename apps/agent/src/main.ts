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

const config = readConfig(process.env);
const log = createLogger('agent', config.LOG_LEVEL);
log.info({ config: redacted(config) }, 'starting');

const nats = await connectNats(`agent-${config.CLUSTER}`, config, log);
const metrics = createMetrics(createRegistry('agent'));
const agent = new Agent({ config, nats, log, metrics });
await serveMetrics(metrics.registry, {
  host: config.METRICS_HOST,
  port: config.METRICS_PORT,
  ready: agent.probe,
});

runUntilSignal(log, async () => {
  await agent.stop();
  await nats.nc.drain();
});
