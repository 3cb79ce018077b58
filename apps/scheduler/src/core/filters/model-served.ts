import type { Filter } from './filter.ts';

/** A cluster serves one model, and tells which once its backend has told. */
export const modelServed: Filter = {
  code: 'model-not-served',
  permanent: true,
  refuses: ({ ask, candidate: { view } }) =>
    view.model && view.model.name !== ask.model ? `serves ${view.model.name}` : undefined,
};
