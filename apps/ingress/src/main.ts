import {
  connectNats,
  createLogger,
  createRegistry,
  redacted,
  runUntilSignal,
  serveMetrics,
} from '@drover/runtime';
import { readConfig } from './config.ts';
import { buildServer, type IngressServer } from './http/server.ts';

const config = readConfig(process.env);
const log = createLogger('ingress', config.LOG_LEVEL);
log.info({ config: redacted(config) }, 'starting');

const registry = createRegistry('ingress');
let server: IngressServer | undefined;
// It answers at once: a process that waits for NATS is alive, and starting it again would not help.
const metrics = await serveMetrics(registry, {
  host: config.METRICS_HOST,
  port: config.METRICS_PORT,
  ready: () => server?.ready() ?? { ok: false, detail: 'nats is not connected' },
});
const nats = await connectNats('ingress', config, log);
server = buildServer({ nats, config, log, registry });
log.info({ address: await server.listen() }, 'listening');

runUntilSignal(log, async () => {
  await server.stop();
  metrics.close();
  await nats.nc.drain();
});
