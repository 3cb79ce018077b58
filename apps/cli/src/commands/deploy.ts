import { join } from 'node:path';
import { type Command, type Context, command, confirm, type Given } from '../command.ts';
import { projectRoot } from '../config.ts';
import { type Cloud, clouds, type Environment, environments } from '../core/deploy/facts.ts';
import { deployPlan } from '../core/deploy/steps.ts';
import type { Plan, Step } from '../core/deploy/types.ts';
import { undeployPlan } from '../core/deploy/undeploy.ts';
import { actionLines, planText } from '../core/deploy/words.ts';
import { type Checked, checkAll } from '../deploy/check.ts';
import type { WorldOf } from '../deploy/hibernate.ts';
import { readFacts } from '../deploy/read-facts.ts';
import { runPlan } from '../deploy/run-plan.ts';
import { realWorld } from '../deploy/world.ts';
import { CliError } from '../errors.ts';

const options = {
  env: { type: 'string' },
  'dry-run': { type: 'boolean' },
  yes: { type: 'boolean' },
  json: { type: 'boolean' },
  step: { type: 'string', multiple: true },
  destroy: { type: 'boolean' },
} as const;
const { destroy: _, ...optionsBack } = options;

/** Walks through a deployment. @param worldOf what it touches  @param root where infra/ and argocd/ are read */
export const deployCommand = (worldOf: WorldOf = realWorld, root = projectRoot): Command =>
  command({
    name: 'deploy',
    usage:
      '<aws|gcp|azure|all> --env <dev|staging|prod> [--dry-run] [--step <name>]… [--destroy] [--yes] [--json]',
    summary: 'from nothing to a served token in a cloud, step by step; --dry-run only shows',
    options,
    positionals: [1, 1],
    run: (given, context) => walk(given, context, { worldOf, root, back: false }),
  });

/** The way back. */
export const undeployCommand = (worldOf: WorldOf = realWorld, root = projectRoot): Command =>
  command({
    name: 'undeploy',
    usage: '<aws|gcp|azure|all> --env <dev|staging|prod> [--dry-run] [--step <name>]… [--yes] [--json]',
    summary: 'drains, then takes everything in the clouds away',
    options: optionsBack,
    positionals: [1, 1],
    run: (given, context) => walk(given, context, { worldOf, root, back: true }),
  });

async function walk(
  { values, positionals }: Given<typeof options>,
  context: Context,
  { worldOf, root, back }: { worldOf: WorldOf; root: string; back: boolean },
): Promise<void> {
  const { io, env, stateDir } = context;
  const cloud = oneOf<Cloud | 'all'>(positionals[0], [...clouds, 'all'], 'the cloud');
  const environment = oneOf<Environment>(values.env, environments, '--env');
  const destroys = back || values.destroy === true;
  const folder = join(stateDir, 'deploy', environment);
  const paths = { folder };
  const facts = readFacts(environment, cloud, root);
  const plan = destroys ? undeployPlan(facts, paths) : deployPlan(facts, paths);
  const only = values.step === undefined ? undefined : stepsNamed(plan, values.step);
  const world = worldOf(folder, env);
  const dryRun = values['dry-run'] === true;
  if (!dryRun) mayGoOn(context, environment, destroys, values.yes);

  const checked = await checkAll(plan.prerequisites, world);
  const missing = checked.filter(({ ok }) => !ok);
  if (!values.json) {
    io.out(prerequisitesText(checked));
    if (dryRun) io.out(`\n${planText(plan, paths)}`);
  } else if (dryRun || missing.length > 0) {
    io.out(JSON.stringify({ environment, prerequisites: checked, steps: plan.steps.map(shown) }));
  }
  const [first] = missing;
  if (first !== undefined)
    throw new CliError(
      first.code,
      `${missing.length} of ${checked.length} prerequisites are missing, and nothing was run: ` +
        missing.map(({ name }) => name).join(', '),
    );
  if (dryRun) return;

  if (destroys && !values.yes) await named(context, environment);
  const results = await runPlan({
    plan,
    paths,
    world,
    ...(only === undefined ? {} : { only }),
    confirm: (step) => confirm(io, `Do ${step.name}?`, values.yes),
    say: values.json ? () => {} : io.note,
    leaving: io.leaving,
  });
  if (values.json) io.out(JSON.stringify({ environment, steps: results }));
  const failed = results.find(({ status }) => status === 'failed');
  if (failed)
    throw new CliError('failed', `step ${failed.name}: ${failed.problem}. Start again to go on there.`);
  if (!values.json)
    io.out(destroys ? `${environment} is gone.` : `${environment} is there: https://api.${facts.domain}`);
}

/** @throws CliError before anything is looked at, when somebody would have to be asked and nobody is there */
function mayGoOn({ io }: Context, environment: string, destroys: boolean, yes: boolean | undefined): void {
  if (destroys && environment === 'prod' && (yes || !io.interactive))
    throw new CliError(
      'confirmation_required',
      'prod is taken away by a person at a terminal, without --yes',
    );
  if (!yes && !io.interactive)
    throw new CliError('confirmation_required', 'nobody can be asked here: say --yes, or --dry-run');
}

/** What cannot be undone is asked for by its name. */
async function named({ io }: Context, environment: string): Promise<void> {
  const answer = await io.ask(`This ends ${environment} and deletes what it holds. Type its name to go on: `);
  if (answer.trim() !== environment) throw new CliError('declined', 'nothing was done');
}

function oneOf<T extends string>(given: string | undefined, known: readonly T[], what: string): T {
  const found = known.find((one) => one === given);
  if (found === undefined) throw new CliError('usage', `${what} must be one of ${known.join(', ')}`);
  return found;
}

function stepsNamed({ steps }: Plan, given: readonly string[]): Set<string> {
  for (const name of given)
    if (!steps.some((step) => step.name === name))
      throw new CliError('usage', `there is no step "${name}": ${steps.map((step) => step.name).join(', ')}`);
  return new Set(given);
}

const shown = ({ actions, ...step }: Step) => ({ ...step, commands: actions.flatMap(actionLines) });

function prerequisitesText(checked: readonly Checked[]): string {
  const width = Math.max(...checked.map(({ name }) => name.length));
  return checked
    .flatMap(({ ok, name, found, problem, how }) =>
      ok
        ? [`✓ ${name.padEnd(width)}  ${found ?? 'as it should be'}`]
        : [`✗ ${name.padEnd(width)}  ${problem}`, `  ${' '.repeat(width)}    → ${how}`],
    )
    .join('\n');
}
