import { namesRegion } from '@drover/schemas';
import type { Filter } from './filter.ts';

/**
 * Where the request's data may be. Permanent: a request rather ends than leaves its regions. A cluster whose tariff names
 * no region may be anywhere.
 */
export const regionAllowed: Filter = {
  code: 'region-not-allowed',
  permanent: true,
  refuses({ ask, candidate: { tariff } }) {
    const { regions } = ask.request;
    if (regions === undefined) return undefined;
    const allowed = `allowed in ${regions.join(', ')}`;
    const region = tariff?.region;
    if (region === undefined) return `in an unknown region, ${allowed}`;
    return regions.some((pattern) => namesRegion(pattern, region)) ? undefined : `in ${region}, ${allowed}`;
  },
};
