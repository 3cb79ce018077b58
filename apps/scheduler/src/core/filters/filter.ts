import type { Policy, RejectionCode } from '@drover/schemas';
import type { Ask, Candidate, Prediction } from '../types.ts';

/** One candidate for one request, with everything a filter may look at. */
export type Subject = {
  readonly ask: Ask;
  readonly candidate: Candidate;
  /** Absent while a rate or the price is unknown, or no agent is ready. */
  readonly prediction: Prediction | undefined;
  readonly usdPer1k: number | undefined;
  readonly policy: Policy;
  readonly nowMs: number;
  /** The largest context of any cluster that serves this model, in tokens. */
  readonly largestContextTokens: number;
};

/** One reason to say no. */
export type Filter = {
  readonly code: RejectionCode;
  /** True when waiting will not help. A request that every cluster refuses for such reasons is refused at once. */
  readonly permanent: boolean;
  /** Why this cluster cannot take the request, in words; undefined when it can as far as this filter goes. */
  refuses(subject: Subject): string | undefined;
};
