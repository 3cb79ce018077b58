import { parseValue, type Tariff } from '@drover/schemas';
import { z } from 'zod';
import { type Answer, given, refuse } from './answer.ts';
import { cloudTariff } from './cloud-tariff.ts';
import { machineShape } from './gcp-shapes.ts';
import type { SourceOf } from './plan.ts';

const money = z.object({
  currencyCode: z.string(),
  /** Whole units, a 64-bit number as text. Zero may be left out, as in all JSON of protocol buffers. */
  units: z
    .string()
    .regex(/^-?\d+$/)
    .default('0'),
  /** Billionths of a unit. */
  nanos: z.number().int().default(0),
});
const pricing = z.object({
  effectiveTime: z.iso.datetime(),
  pricingExpression: z.object({
    usageUnit: z.string(),
    tieredRates: z.array(z.object({ startUsageAmount: z.number().default(0), unitPrice: money })),
  }),
});
/** Of tens of thousands of SKUs some are odd: only of the one that is wanted is more asked than a name. */
const sku = z.object({
  skuId: z.string().default(''),
  description: z.string().default(''),
  category: z
    .object({ resourceFamily: z.string().default(''), usageType: z.string().default('') })
    .prefault({}),
  serviceRegions: z.array(z.string()).default([]),
  pricingInfo: z.unknown().optional(),
});
export type Sku = z.infer<typeof sku>;

/** A page of the catalogue: `services/6F81-5844-456A/skus` lists all that Compute Engine sells. */
export const cataloguePage = z.object({
  skus: z.array(sku).default([]),
  nextPageToken: z.string().default(''),
});

const parts = { Core: 'h', Ram: 'GiBy.h' } as const;

/** Pure. What may belong to some machine of `gcp-shapes.ts`: of tens of thousands of SKUs only these are kept. */
export const isMachinePart = ({ category, description }: Sku): boolean =>
  category.resourceFamily === 'Compute' && / Instance (Core|Ram) running in /.test(description);

/** Pure. Cores and memory of a machine, each at the price that took effect last. */
export function gcpCatalogueTariff(
  want: SourceOf<'gcp-catalogue'>,
  skus: readonly Sku[],
  nowMs: number,
): Answer<Tariff> {
  const where = `GCP billing catalogue, ${want.instanceType} in ${want.region}`;
  const shape = machineShape(want.instanceType);
  if (!shape) return refuse('no-price', `${where}: not a machine type that is known here`);
  const core = partPrice(want, shape.title, 'Core', skus, nowMs);
  if (!core.ok) return refuse(core.code, `${where}: ${core.problem}`);
  const ram = partPrice(want, shape.title, 'Ram', skus, nowMs);
  if (!ram.ok) return refuse(ram.code, `${where}: ${ram.problem}`);
  const usdPerHour = core.value.usd * shape.cpus + ram.value.usd * shape.memoryGib;
  return cloudTariff(want, usdPerHour, `${where} (SKUs ${core.value.skuId}, ${ram.value.skuId})`, nowMs);
}

function partPrice(
  want: SourceOf<'gcp-catalogue'>,
  title: string,
  part: keyof typeof parts,
  skus: readonly Sku[],
  nowMs: number,
): Answer<{ skuId: string; usd: number }> {
  const spot = want.market === 'spot';
  const start = `${spot ? 'Spot Preemptible ' : ''}${title} Instance ${part} running in `;
  const found = skus.filter(
    ({ description, category, serviceRegions }) =>
      description.startsWith(start) &&
      category.usageType === (spot ? 'Preemptible' : 'OnDemand') &&
      serviceRegions.includes(want.region),
  );
  const [one, another] = found;
  if (!one) return refuse('no-price', `no SKU “${start}…”`);
  if (another) return refuse('ambiguous', `SKUs ${found.map(({ skuId }) => skuId).join(', ')}`);
  return skuPrice(one, parts[part], nowMs);
}

function skuPrice(
  { skuId, pricingInfo }: Sku,
  unit: string,
  nowMs: number,
): Answer<{ skuId: string; usd: number }> {
  const parsed = parseValue(z.array(pricing), pricingInfo);
  if (!parsed.ok) return refuse('malformed', `SKU ${skuId}: ${parsed.problem}`);
  const current = parsed.value
    .filter(({ effectiveTime }) => Date.parse(effectiveTime) <= nowMs)
    .toSorted((a, b) => Date.parse(b.effectiveTime) - Date.parse(a.effectiveTime))[0]?.pricingExpression;
  if (!current) return refuse('no-price', `SKU ${skuId} has none in effect`);
  if (current.usageUnit !== unit) return refuse('unit', `SKU ${skuId} is per ${current.usageUnit}`);
  const rate = current.tieredRates.find(({ startUsageAmount }) => startUsageAmount === 0)?.unitPrice;
  if (!rate) return refuse('no-price', `SKU ${skuId} has no rate from the first unit on`);
  if (rate.currencyCode !== 'USD') return refuse('currency', `SKU ${skuId} is in ${rate.currencyCode}`);
  const usd = Number(rate.units) + rate.nanos / 1e9;
  // A free part would make the machine look cheap; none of these is free.
  return usd > 0 ? given({ skuId, usd }) : refuse('not-positive', `SKU ${skuId}: ${usd} USD`);
}
