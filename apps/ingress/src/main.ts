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
  status: () => server?.status() ?? { status: 'not ready', missing: ['a connection to NATS'] },
});
let nats: Nats | undefined;
runUntilSignal(log, async () => {
  await server?.stop();
  metrics.close();
  if (nats) await leaveNats(nats);
});
nats = await connectNats('ingress', config, log);
server = buildServer({ nats, config, log, registry });
log.info({ address: await server.listen() }, 'listening');
