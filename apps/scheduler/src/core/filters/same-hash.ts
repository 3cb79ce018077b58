import type { Filter } from './filter.ts';

/** An answer that has begun can only be continued by the very same model. */
export const sameHash: Filter = {
  code: 'model-hash-differs',
  permanent: false,
  refuses: ({ ask, candidate: { view } }) =>
    ask.modelHash !== undefined && view.model && view.model.hash !== ask.modelHash
      ? 'the answer was begun by another model file'
      : undefined,
};
