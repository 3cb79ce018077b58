import type { Filter } from './filter.ts';

/**
 * The prompt must fit the context of a slot. Its length is an estimate, so a prompt that seems to fit nowhere is refused
 * only if half of it would not fit either; in between the backend, which can count, has the last word.
 */
export const contextFits: Filter = {
  code: 'context-too-small',
  permanent: true,
  refuses({ ask, candidate: { view }, largestContextTokens }) {
    if (!view.model) return undefined;
    const { promptTokens } = ask.estimate;
    const needed = promptTokens <= largestContextTokens ? promptTokens : promptTokens / 2;
    return needed > view.model.contextTokens
      ? `about ${promptTokens} prompt tokens, context of ${view.model.contextTokens}`
      : undefined;
  },
};
