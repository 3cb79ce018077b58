import { type Answer, given, refuse } from '../core/answer.ts';
import { cataloguePage, gcpCatalogueTariff, isMachinePart, type Sku } from '../core/gcp-catalogue.ts';
import type { Feeder } from './feeder.ts';
import { getJson, type HttpOptions, httpDefaults } from './http.ts';
import { oncePerKey } from './once.ts';

/** Compute Engine, by the catalogue's own name. */
const path = '/v1/services/6F81-5844-456A/skus';
const pageSize = 5_000;
const pagesMax = 100;

/** The GCP Cloud Billing Catalog: public, with an API key, paged; the whole list is read once per turn. */
export const gcpCatalogue =
  (
    baseUrl: string,
    apiKey: string | undefined,
    http: Omit<HttpOptions, 'signal'> = httpDefaults,
  ): Feeder<'gcp-catalogue'> =>
  (signal) => {
    const skus = oncePerKey(() => readSkus(baseUrl, apiKey, { ...http, signal }));
    return async (_cluster, source, nowMs) => {
      const read = await skus('all');
      return read.ok ? gcpCatalogueTariff(source, read.value, nowMs) : read;
    };
  };

async function readSkus(
  baseUrl: string,
  apiKey: string | undefined,
  http: HttpOptions,
): Promise<Answer<Sku[]>> {
  if (apiKey === undefined) return refuse('denied', 'GCP_BILLING_API_KEY is missing');
  const skus: Sku[] = [];
  let token = '';
  for (let page = 0; page < pagesMax; page += 1) {
    const url = new URL(path, baseUrl);
    url.searchParams.set('pageSize', String(pageSize));
    url.searchParams.set('currencyCode', 'USD');
    if (token !== '') url.searchParams.set('pageToken', token);
    // In a header: what is in a URL ends up in logs.
    const answer = await getJson(url, cataloguePage, http, { 'x-goog-api-key': apiKey });
    if (!answer.ok) return answer;
    skus.push(...answer.value.skus.filter(isMachinePart));
    token = answer.value.nextPageToken;
    if (token === '') return given(skus);
  }
  return refuse('malformed', `${baseUrl}: more than ${pagesMax} pages`);
}
