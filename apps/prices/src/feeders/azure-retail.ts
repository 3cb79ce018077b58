import { type Answer, given, refuse } from '../core/answer.ts';
import { azureRetailTariff, type RetailItem, retailFilter, retailPage } from '../core/azure-retail.ts';
import type { Feeder } from './feeder.ts';
import { getJson, type HttpOptions, httpDefaults } from './http.ts';

/** One machine in one region has some ten prices; a page has a hundred or a thousand. */
const pagesMax = 20;

/** The Azure retail prices API: public, without a key, paged. */
export const azureRetail =
  (baseUrl: string, http: Omit<HttpOptions, 'signal'> = httpDefaults): Feeder<'azure-retail'> =>
  (signal) =>
  async (_cluster, source, nowMs) => {
    const first = new URL('/api/retail/prices', baseUrl);
    first.searchParams.set('$filter', retailFilter(source));
    const items = await readPages(first, { ...http, signal });
    return items.ok ? azureRetailTariff(source, items.value, nowMs) : items;
  };

async function readPages(first: URL, http: HttpOptions): Promise<Answer<RetailItem[]>> {
  const items: RetailItem[] = [];
  let url = first;
  for (let page = 0; page < pagesMax; page += 1) {
    const answer = await getJson(url, retailPage, http);
    if (!answer.ok) return answer;
    items.push(...answer.value.Items);
    const { NextPageLink: next } = answer.value;
    if (!next) return given(items);
    if (!URL.canParse(next) || new URL(next).origin !== first.origin)
      return refuse('malformed', `${first.origin}: the next page is elsewhere`);
    url = new URL(next);
  }
  return refuse('malformed', `${first.origin}: more than ${pagesMax} pages`);
}
