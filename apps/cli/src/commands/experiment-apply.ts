import { type Experiment, experiment, policyKeys } from '@drover/schemas';
import { applyCommand } from './apply.ts';

/** Begins an experiment, or changes it. */
export const experimentApply = applyCommand({
  name: 'experiment apply',
  summary: 'begins an experiment with policies; --dry-run only shows what would change',
  key: policyKeys.experiment,
  schema: experiment,
  question: ({ name }) => `Begin experiment ${name}?`,
  whenNew: inWords,
});

/** All fields would be hundreds, most of them defaults. */
function inWords({ name, switchback, shadow }: Experiment): string[] {
  return [
    `Experiment ${name}:`,
    ...(switchback
      ? [
          `- in turns of ${switchback.windowMs / 1_000} s, ${switchback.burnInMs / 1_000} s of them burn-in: ${Object.keys(switchback.policies).join(', ')}`,
          `- from ${switchback.startsAt} ${switchback.endsAt === undefined ? 'until it is stopped' : `to ${switchback.endsAt}`}`,
        ]
      : []),
    ...(shadow ? [`- as a shadow, for ${shadow.share * 100} % of the requests: ${shadow.name}`] : []),
  ];
}
