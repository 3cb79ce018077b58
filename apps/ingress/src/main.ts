import {
  connectNats,
  createLogger,
  createRegistry,
  redacted,
  runUntilSignal,
  serveMetrics,
} from '@drover/runtime';
import { readConfig } from './config.ts';
import { buildServer } from './http/server.ts';

const config = readConfig(process.env);
const log = createLogger('ingress', config.LOG_LEVEL);
log.info({ config: redacted(config) }, 'starting');

const nats = await connectNats('ingress', config, log);
const registry = createRegistry('ingress');
const server = buildServer({ nats, config, log, registry });
const metrics = await serveMetrics(registry, {
  host: config.METRICS_HOST,
  port: config.METRICS_PORT,
  ready: server.ready,
});
log.info({ address: await server.listen() }, 'listening');

runUntilSignal(log, async () => {
  await server.stop();
  metrics.close();
  await nats.nc.drain();
});
