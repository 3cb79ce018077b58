import type { Action, Paths, Plan, Step } from '../core/deploy/types.ts';
import { stepText } from '../core/deploy/words.ts';
import { duration } from '../core/words.ts';
import { CliError } from '../errors.ts';
import { Performer } from './perform.ts';
import type { World } from './world.ts';

export type StepResult = {
  readonly name: string;
  readonly status: 'was done' | 'done' | 'failed' | 'not reached';
  readonly problem?: string;
};

export type RunOptions = {
  readonly plan: Plan;
  readonly paths: Paths;
  readonly world: World;
  /** Only these steps; absent: all. */
  readonly only?: ReadonlySet<string>;
  /** Asked before each step that is not done yet. @throws to stop there */
  readonly confirm: (step: Step) => Promise<void>;
  readonly say: (line: string) => void;
  readonly leaving: AbortSignal;
};

/**
 * Carries out a plan's steps in order, each unless it is seen to be done, and stops at the first that fails. Started again, it
 * goes on where it stopped.
 */
export async function runPlan(options: RunOptions): Promise<StepResult[]> {
  const { plan, paths, world, only, confirm, say, leaving } = options;
  const performer = new Performer({
    world,
    paths,
    stack: plan.environment,
    say: (line) => say(`    │ ${line}`),
  });
  const steps = plan.steps.filter(({ name }) => only?.has(name) ?? true);
  const results: StepResult[] = [];
  for (const [index, step] of steps.entries()) {
    const startedMs = performance.now();
    try {
      if (leaving.aborted) throw new CliError('declined', 'stopped');
      if (await isDone(step, performer)) {
        results.push({ name: step.name, status: 'was done' });
        say(`✓ ${step.name}: was done`);
        continue;
      }
      say(`\n${stepText(step, index + 1, steps.length)}`);
      await confirm(step);
      for (const action of step.actions) await performUnlessDone(action, performer);
      results.push({ name: step.name, status: 'done' });
      say(`✓ ${step.name}: done in ${duration(performance.now() - startedMs)}`);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      results.push({ name: step.name, status: 'failed', problem });
      for (const { name } of steps.slice(index + 1)) results.push({ name, status: 'not reached' });
      return results;
    }
  }
  return results;
}

async function isDone(step: Step, performer: Performer): Promise<boolean> {
  let seen = false;
  for (const action of step.actions) {
    const settled = await performer.settled(action);
    if (settled === 'no') return false;
    seen ||= settled === 'yes';
  }
  // Where nothing can be seen, doing it is the only way to know.
  return seen;
}

async function performUnlessDone(action: Action, performer: Performer): Promise<void> {
  if ((await performer.settled(action)) !== 'yes') await performer.perform(action);
}
