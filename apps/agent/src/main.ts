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
import { agentConnection, agentId } from '@drover/schemas';
import { Agent } from './agent.ts';
import { readConfig } from './config.ts';
import { createMetrics } from './metrics.ts';
import { drainOnNotice } from './spot/drain-on-notice.ts';
import type { SpotWatch } from './spot/watch.ts';

const read = readConfig(process.env);
const agentName = read.AGENT_ID ?? agentId.parse(crypto.randomUUID());
const config = { ...read, AGENT_ID: agentName };
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
let nats: Nats | undefined;
let spot: SpotWatch | undefined;
runUntilSignal(log, async () => {
  spot?.stop();
  await started?.stop();
  if (nats) await leaveNats(nats);
});
nats = await connectNats(agentConnection(config.CLUSTER, agentName), config, log);
const agent = new Agent({ config, nats, log, metrics });
started = agent;
spot = drainOnNotice(agent, {
  config,
  metrics,
  log,
  restart: () => process.kill(process.pid, 'SIGTERM'),
});
