import type { Filter } from './filter.ts';

/** The policy's limit on the predicted time to first token. */
export const ttftShort: Filter = {
  code: 'ttft-too-long',
  permanent: false,
  refuses: ({ policy, prediction }) =>
    policy.ttftMaxMs !== undefined && prediction && prediction.ttftMs > policy.ttftMaxMs
      ? `first token after about ${Math.round(prediction.ttftMs)} ms, at most ${policy.ttftMaxMs}`
      : undefined,
};
