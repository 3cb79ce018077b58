import type { Overview } from './overview.ts';
import { table } from './table.ts';
import { duration, moment, usd } from './words.ts';

/** Pure. The whole system on one screen. */
export function screen(overview: Overview): string {
  return [headline(overview), '', clusters(overview), '', queue(overview)].join('\n');
}

function headline({ atMs, policy, clusters: all }: Overview): string {
  const slots = all.reduce((sum, cluster) => sum + cluster.slots, 0);
  const running = all.reduce((sum, cluster) => sum + cluster.running, 0);
  const perHour = all.reduce((sum, { usdPerHour = 0, readyAgents }) => sum + usdPerHour * readyAgents, 0);
  const inForce =
    policy === null ? 'built-in policy' : `policy ${policy.strategy}, revision ${policy.revision}`;
  return `${moment(atMs)}  ${running} of ${slots} slots busy, ${usd(perHour)}/h for what is up, ${inForce}`;
}

function clusters({ clusters: all }: Overview): string {
  if (all.length === 0) return 'No cluster is known: none has a price, and no agent has reported.';
  return table(
    ['cluster', 'state', 'agents', 'slots', 'running', 'waiting', 'tokens/s', '$/h', '$/1K', 'heard'],
    all.map((one) => [
      one.cluster,
      one.cordoned === undefined ? one.phase : `${one.phase}, cordoned (${one.cordoned})`,
      String(one.readyAgents),
      String(one.slots),
      String(one.running),
      String(one.waiting),
      one.tokensPerSecond?.toFixed(1),
      one.usdPerHour === undefined ? undefined : usd(one.usdPerHour),
      one.usdPer1k === undefined ? undefined : usd(one.usdPer1k),
      one.reportAgeMs === undefined ? undefined : `${duration(one.reportAgeMs)} ago`,
    ]),
  );
}

function queue({ queue: bands, deadLetters }: Overview): string {
  const waiting = bands.map(({ band, waiting }) => `${waiting} ${band}`).join(', ');
  return `waiting for a cluster: ${waiting}; dead letters: ${deadLetters}`;
}
