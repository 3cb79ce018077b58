import { httpHeaders, type OpenReply } from '@drover/schemas';

/**
 * What the client is told about the attempt that answers.
 * @param overheadMs what Drover itself added to the time to first token; absent while there is none
 */
export const answerHeaders = (open: OpenReply, overheadMs?: number): Record<string, string> => ({
  [httpHeaders.cluster]: headerSafe(open.cluster),
  [httpHeaders.model]: headerSafe(open.model),
  [httpHeaders.attempts]: String(open.attempt),
  [httpHeaders.queueMs]: oneDecimal(open.queueMs),
  ...(open.usdPer1k === undefined
    ? {}
    : { [httpHeaders.usdPer1k]: String(Number(open.usdPer1k.toPrecision(6))) }),
  ...(overheadMs === undefined ? {} : { [httpHeaders.overheadMs]: oneDecimal(overheadMs) }),
});

/**
 * Time from the request's arrival to its first unit that neither waiting for a slot nor the backend accounts for, in ms.
 * The parts are measured by three clocks' differences, so a hair below zero is possible and counts as zero.
 */
export const overheadMs = (open: OpenReply, firstUnitAfterMs: number): number =>
  Math.max(0, firstUnitAfterMs - open.queueMs - open.backendMs);

const oneDecimal = (ms: number): string => ms.toFixed(1);

/** A header holds printable ASCII; a model's name is what its file says. */
const headerSafe = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');
