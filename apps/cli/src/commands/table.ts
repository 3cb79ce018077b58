import type { Command } from '../command.ts';
import { deadList } from './dead-list.ts';
import { deadRetry } from './dead-retry.ts';
import { deadShow } from './dead-show.ts';
import { drain, uncordon } from './drain.ts';
import { explain } from './explain.ts';
import { policyApply } from './policy-apply.ts';
import { priceSet } from './price-set.ts';
import { status } from './status.ts';
import { top } from './top.ts';

/** Every command, in the order of the overview. */
export const commands: readonly Command[] = [
  status,
  top,
  explain,
  drain,
  uncordon,
  priceSet,
  policyApply,
  deadList,
  deadShow,
  deadRetry,
];
