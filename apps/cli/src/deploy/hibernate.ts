import { join } from 'node:path';
import { type Context, confirm } from '../command.ts';
import { type Environment, environments } from '../core/deploy/facts.ts';
import { hibernatePlan } from '../core/deploy/hibernate.ts';
import { CliError } from '../errors.ts';
import { checkAll } from './check.ts';
import { readFacts } from './read-facts.ts';
import { runPlan } from './run-plan.ts';
import type { World } from './world.ts';

export type WorldOf = (folder: string, env: NodeJS.ProcessEnv) => World;
export type Hibernation = { run(): Promise<void> };

/**
 * Prepares to take a cluster's system nodes away or to bring them back. What is missing is told before anything is done.
 * @throws CliError `usage`, `unknown_cluster`, `missing_…`
 */
export async function hibernation(
  { io, env, stateDir }: Context,
  asked: {
    readonly environment: string;
    readonly cluster: string;
    readonly paused: boolean;
    readonly yes: boolean;
    readonly quiet: boolean;
  },
  { worldOf, root }: { worldOf: WorldOf; root: string },
): Promise<Hibernation> {
  const environment = environments.find((one): one is Environment => one === asked.environment);
  if (environment === undefined)
    throw new CliError('usage', `--env must be one of ${environments.join(', ')}`);
  const facts = readFacts(environment, 'all', root);
  const cluster = facts.clusters.find(({ name }) => name === asked.cluster);
  if (cluster === undefined)
    throw new CliError('unknown_cluster', `${environment} has no cluster ${asked.cluster}`);
  if (cluster.role === 'hub')
    throw new CliError(
      'usage',
      `${cluster.name} is the hub of ${environment}: it holds the streams, and stays`,
    );
  const folder = join(stateDir, 'deploy', environment);
  const world = worldOf(folder, env);
  const plan = hibernatePlan(facts, cluster, asked.paused);
  const missing = (await checkAll(plan.prerequisites, world)).filter(({ ok }) => !ok);
  const [first] = missing;
  if (first !== undefined)
    throw new CliError(
      first.code,
      missing.map(({ name, problem, how }) => `${name}: ${problem} (${how})`).join('; '),
    );
  return {
    run: async () => {
      const results = await runPlan({
        plan,
        paths: { folder },
        world,
        confirm: () => confirm(io, 'Do this?', asked.yes),
        say: asked.quiet ? () => {} : io.note,
        leaving: io.leaving,
      });
      const failed = results.find(({ status }) => status === 'failed');
      if (failed) throw new CliError('failed', `${failed.name}: ${failed.problem}`);
    },
  };
}
