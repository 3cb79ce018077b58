import type { Command } from '../command.ts';
import { deadList } from './dead-list.ts';
import { deadRetry } from './dead-retry.ts';
import { deadShow } from './dead-show.ts';
import { decisionsExport } from './decisions-export.ts';
import { deployCommand, undeployCommand } from './deploy.ts';
import { doctor } from './doctor.ts';
import { drain, uncordon } from './drain.ts';
import { experimentApply } from './experiment-apply.ts';
import { experimentReport } from './experiment-report.ts';
import { experimentStop } from './experiment-stop.ts';
import { explain } from './explain.ts';
import { pauseCommand, resumeCommand } from './pause.ts';
import { policyApply } from './policy-apply.ts';
import { priceSet } from './price-set.ts';
import { status } from './status.ts';
import { top } from './top.ts';
import { down, up } from './up.ts';

/** Every command, in the order of the overview. */
export const commands: readonly Command[] = [
  up,
  down,
  status,
  top,
  doctor,
  explain,
  drain,
  uncordon,
  pauseCommand(),
  resumeCommand(),
  priceSet,
  policyApply,
  experimentApply,
  experimentStop,
  experimentReport,
  decisionsExport,
  deadList,
  deadShow,
  deadRetry,
  deployCommand(),
  undeployCommand(),
];
