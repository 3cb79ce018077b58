import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  connectNats,
  createLogger,
  createRegistry,
  type Nats,
  redacted,
  runUntilSignal,
  serveMetrics,
} from '@drover/runtime';
import { pricesConfig, readPlan } from './config.ts';
import { words } from './core/words.ts';
import { allFeeders } from './feeders/all.ts';
import { createMetrics, observe } from './metrics.ts';
import { natsBook } from './nats/prices.ts';
import { type Parts, turn } from './turn.ts';

/** Exit code for a configuration that cannot be used (EX_CONFIG of sysexits.h). */
const exitConfig = 78;

const { values: flags } = parseArgs({
  options: { once: { type: 'boolean' }, 'dry-run': { type: 'boolean' } },
});
const dryRun = flags['dry-run'] ?? false;
const config = pricesConfig(process.env);
const read = readPlan(config.PRICES_PLAN_FILE);
if (!read.ok) {
  process.stderr.write(`config: ${read.problem}\n`);
  process.exit(exitConfig);
}
const plan = read.value;
// A dry run is for a person: what it found out, and nothing else.
const log = createLogger('prices', dryRun ? 'silent' : config.LOG_LEVEL);
log.info({ ...redacted(config), plan }, 'starting');

const stopping = new AbortController();
const partsWith = (nats: Nats): Parts => ({
  plan,
  feeders: allFeeders(config),
  book: natsBook(nats),
  log,
  nowMs: Date.now,
  signal: stopping.signal,
  dryRun,
});

if (flags.once || dryRun) await once();
else await forEver();

/** One turn. Exit code 1 when a price was refused: a job that failed is seen. */
async function once(): Promise<void> {
  const nats = await connectNats('prices', config, log, { waitOnFirstConnect: false });
  const outcomes = await turn(partsWith(nats));
  await nats.nc.drain();
  if (dryRun)
    for (const { cluster, before, verdict } of outcomes)
      process.stdout.write(`${words(cluster, before, verdict)}\n`);
  process.exitCode = outcomes.some(({ verdict }) => verdict.kind === 'refuse') ? 1 : 0;
}

async function forEver(): Promise<void> {
  const registry = createRegistry('prices');
  const metrics = createMetrics(registry);
  let nats: Nats | undefined;
  const server = await serveMetrics(registry, {
    host: config.METRICS_HOST,
    port: config.METRICS_PORT,
    ready: () => (nats?.connected() ? { ok: true } : { ok: false, detail: 'nats is not connected' }),
  });
  runUntilSignal(log, async () => {
    stopping.abort();
    server.close();
    await nats?.nc.drain();
  });
  nats = await connectNats('prices', config, log);
  const parts = partsWith(nats);
  while (!stopping.signal.aborted) {
    try {
      observe(metrics, await turn(parts), Date.now());
    } catch (error) {
      // The bucket cannot be read or written now: prices stay as they are, and the next turn comes.
      metrics.turnsFailed.inc();
      log.error({ error: String(error) }, 'turn failed');
    }
    await sleep(plan.intervalMs, undefined, { signal: stopping.signal }).catch(() => {});
  }
}
