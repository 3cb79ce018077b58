import type { Tariff } from '@drover/schemas';
import { z } from 'zod';
import { type Answer, refuse } from './answer.ts';
import { cloudTariff } from './cloud-tariff.ts';
import type { SourceOf } from './plan.ts';

/** What the nodes run; the same machine costs more with another system. */
export const product = 'Linux/UNIX';

/** One entry of DescribeSpotPriceHistory. Prices outside China are in USD per hour. */
export const spotRecord = z.object({
  InstanceType: z.string(),
  ProductDescription: z.string(),
  AvailabilityZone: z.string(),
  SpotPrice: z.string().regex(/^-?\d+(\.\d+)?$/),
  Timestamp: z.date(),
});
export type SpotRecord = z.infer<typeof spotRecord>;

/**
 * Pure. The mean over the zones of what each asks now. The history holds every change, so a zone's price is its newest entry;
 * the mean, because a node group spreads over its zones.
 */
export function awsSpotTariff(
  want: SourceOf<'aws-spot'>,
  history: readonly SpotRecord[],
  nowMs: number,
): Answer<Tariff> {
  const newest = new Map<string, SpotRecord>();
  for (const record of history) {
    if (!isWanted(want, record, nowMs)) continue;
    const known = newest.get(record.AvailabilityZone);
    if (!known || known.Timestamp < record.Timestamp) newest.set(record.AvailabilityZone, record);
  }
  const where = `AWS spot price history, ${want.instanceType} in ${want.region}`;
  const silent = (want.zones ?? []).filter((zone) => !newest.has(zone));
  if (newest.size === 0 || silent.length > 0)
    return refuse('no-price', `${where}: none${silent.length > 0 ? ` in ${silent.join(', ')}` : ''}`);
  const prices = [...newest.values()].map(({ SpotPrice }) => Number(SpotPrice));
  const wrong = prices.find((price) => price <= 0);
  if (wrong !== undefined) return refuse('not-positive', `${where}: ${wrong} USD/h in one of the zones`);
  const mean = prices.reduce((sum, price) => sum + price, 0) / prices.length;
  const zones = [...newest.keys()].toSorted().join(', ');
  return cloudTariff({ ...want, market: 'spot' }, mean, `${where} (mean of ${zones})`, nowMs);
}

const isWanted = (want: SourceOf<'aws-spot'>, record: SpotRecord, nowMs: number): boolean =>
  record.InstanceType === want.instanceType &&
  record.ProductDescription === product &&
  record.Timestamp.getTime() <= nowMs &&
  (want.zones?.includes(record.AvailabilityZone) ?? true);
