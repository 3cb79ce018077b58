import type { Tariff } from '@drover/schemas';
import { type Answer, given, refuse } from './answer.ts';
import type { CloudSource } from './plan.ts';

/**
 * Pure. The tariff of a price that a cloud has just told. It is true as of now, whenever the cloud last changed it; `source`
 * says where it is from and what exactly it is the price of.
 */
export function cloudTariff(
  { region, instanceType, validForMs, feeder: _, ...said }: CloudSource & { market: Tariff['market'] },
  usdPerHour: number,
  source: string,
  nowMs: number,
): Answer<Tariff> {
  if (!Number.isFinite(usdPerHour) || usdPerHour <= 0)
    return refuse('not-positive', `${source}: ${usdPerHour} USD/h`);
  const { market, overheadFactor, egressUsdPerGb, preemptPerHour } = said;
  return given({
    v: 1,
    // Sums of binary fractions end in noise; no cloud prices below a billionth.
    usdPerHour: Number(usdPerHour.toFixed(9)),
    market,
    overheadFactor,
    region,
    instanceType,
    ...(egressUsdPerGb === undefined ? {} : { egressUsdPerGb }),
    ...(preemptPerHour === undefined ? {} : { preemptPerHour }),
    source,
    asOf: new Date(nowMs).toISOString(),
    validForMs,
  });
}
