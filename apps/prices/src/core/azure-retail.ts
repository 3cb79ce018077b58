import type { Tariff } from '@drover/schemas';
import { z } from 'zod';
import { type Answer, refuse } from './answer.ts';
import { cloudTariff } from './cloud-tariff.ts';
import type { SourceOf } from './plan.ts';

const item = z.object({
  currencyCode: z.string(),
  retailPrice: z.number(),
  tierMinimumUnits: z.number(),
  armRegionName: z.string(),
  armSkuName: z.string(),
  effectiveStartDate: z.iso.datetime(),
  meterName: z.string(),
  productName: z.string(),
  skuName: z.string(),
  serviceName: z.string(),
  unitOfMeasure: z.string(),
  type: z.string(),
});
export type RetailItem = z.infer<typeof item>;

/** A page of the retail prices API. */
export const retailPage = z.object({
  Items: z.array(item),
  NextPageLink: z.string().nullish(),
});

const service = 'Virtual Machines';

/** The OData filter that asks for one machine in one region. Names hold no quotes: `plan` sees to that. */
export const retailFilter = ({ region, instanceType }: SourceOf<'azure-retail'>): string =>
  `serviceName eq '${service}' and armRegionName eq '${region}' and armSkuName eq '${instanceType}' and priceType eq 'Consumption'`;

/** Pure. The price of a machine with Linux, spot or not, that took effect last; prices to come and `Low Priority` are left out. */
export function azureRetailTariff(
  want: SourceOf<'azure-retail'>,
  items: readonly RetailItem[],
  nowMs: number,
): Answer<Tariff> {
  const where = `Azure retail prices, ${want.instanceType} in ${want.region}`;
  const meant = items.filter((one) => isWanted(want, one, nowMs));
  const sinceMs = Math.max(...meant.map(startMs));
  const current = meant.filter((one) => startMs(one) === sinceMs);
  const [first, ...others] = current;
  if (!first) return refuse('no-price', `${where}: no ${want.market} price among ${items.length} of them`);
  if (others.some(({ retailPrice }) => retailPrice !== first.retailPrice))
    return refuse('ambiguous', `${where}: ${current.map(({ productName }) => productName).join(', ')}`);
  const currency = current.find(({ currencyCode }) => currencyCode !== 'USD');
  if (currency) return refuse('currency', `${where}: ${currency.currencyCode}`);
  const unit = current.find(({ unitOfMeasure }) => unitOfMeasure !== '1 Hour');
  if (unit) return refuse('unit', `${where}: per ${unit.unitOfMeasure}`);
  return cloudTariff(want, first.retailPrice, `${where} (${first.productName}, ${first.skuName})`, nowMs);
}

const startMs = ({ effectiveStartDate }: RetailItem): number => Date.parse(effectiveStartDate);

function isWanted(want: SourceOf<'azure-retail'>, one: RetailItem, nowMs: number): boolean {
  const names = `${one.skuName} ${one.meterName}`;
  return (
    one.type === 'Consumption' &&
    one.serviceName === service &&
    one.armRegionName === want.region &&
    one.armSkuName === want.instanceType &&
    one.tierMinimumUnits === 0 &&
    !/\bWindows\b/.test(one.productName) &&
    !/\bLow Priority\b/.test(names) &&
    /\bSpot\b/.test(names) === (want.market === 'spot') &&
    startMs(one) <= nowMs
  );
}
