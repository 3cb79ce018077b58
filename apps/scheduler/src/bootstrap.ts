import { connectNats, createLogger } from '@drover/runtime';
import { provision } from './bootstrap/provision.ts';
import { chosenRetention } from './bootstrap/retention.ts';
import { readSeeds } from './bootstrap/seeds.ts';
import { bootstrapConfig } from './config.ts';

/** Exit code for a configuration that cannot be used (EX_CONFIG of sysexits.h). */
const exitConfig = 78;

const config = bootstrapConfig(process.env);
const log = createLogger('bootstrap', config.LOG_LEVEL);
const { seeds, problems: seedProblems } = readSeeds({
  policy: config.POLICY_FILE,
  models: config.MODELS_FILE,
  prices: config.PRICES_FILE,
});
const { retention, problems: retentionProblems } = chosenRetention(config);
const problems = [...seedProblems, ...retentionProblems];
if (problems.length > 0) {
  for (const problem of problems) process.stderr.write(`config: ${problem}\n`);
  process.exit(exitConfig);
}
const nats = await connectNats('bootstrap', config, log);
const put = await provision(nats, { clusters: config.CLUSTERS, replicas: config.REPLICAS, seeds, retention });
log.info({ clusters: config.CLUSTERS, put, retention }, 'streams, consumers and buckets are there');
await nats.nc.drain();
