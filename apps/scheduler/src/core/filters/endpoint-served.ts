import type { Filter } from './filter.ts';

/** The backend must have been started for what is asked (embeddings need a flag of llama.cpp). */
export const endpointServed: Filter = {
  code: 'endpoint-not-served',
  permanent: true,
  refuses: ({ ask, candidate: { view } }) =>
    view.model && !view.model.endpoints.includes(ask.request.endpoint)
      ? `serves ${view.model.endpoints.join(', ')} only`
      : undefined,
};
