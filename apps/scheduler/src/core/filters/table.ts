import type { Rejection } from '../types.ts';
import { breakerClosed } from './breaker-closed.ts';
import { contextFits } from './context-fits.ts';
import { deadlineMet } from './deadline-met.ts';
import { endpointServed } from './endpoint-served.ts';
import type { Filter, Subject } from './filter.ts';
import { freeSlot } from './free-slot.ts';
import { hasWeight } from './has-weight.ts';
import { modelServed } from './model-served.ts';
import { notCordoned } from './not-cordoned.ts';
import { notExcluded } from './not-excluded.ts';
import { backendUp, notBooting, notDraining } from './phase-ready.ts';
import { priceCeiling } from './price-ceiling.ts';
import { priceKnown } from './price-known.ts';
import { providerAllowed } from './provider-allowed.ts';
import { providerLimit } from './provider-limit.ts';
import { queueShort } from './queue-short.ts';
import { ratesKnown } from './rates-known.ts';
import { regionAllowed } from './region-allowed.ts';
import { reportFresh } from './report-fresh.ts';
import { sameHash } from './same-hash.ts';
import { ttftShort } from './ttft-short.ts';

/** Every reason to refuse a cluster, in the order asked: what waiting cannot mend first, the breaker last. */
export const filters: readonly Filter[] = [
  modelServed,
  endpointServed,
  contextFits,
  regionAllowed,
  priceCeiling,
  providerAllowed,
  notExcluded,
  notCordoned,
  sameHash,
  reportFresh,
  notBooting,
  notDraining,
  backendUp,
  hasWeight,
  priceKnown,
  providerLimit,
  ratesKnown,
  queueShort,
  freeSlot,
  ttftShort,
  deadlineMet,
  breakerClosed,
];

/** The first reason against this candidate, or undefined when there is none. */
export function firstRejection(subject: Subject): Rejection | undefined {
  for (const filter of filters) {
    const detail = filter.refuses(subject);
    if (detail !== undefined) return { code: filter.code, detail, permanent: filter.permanent };
  }
  return undefined;
}
