import type { ClusterStatus } from './fleet.ts';
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
  const nodes = all.reduce((sum, { readyAgents }) => sum + readyAgents, 0);
  const wanted = all.reduce((sum, { wantedNodes = 0 }) => sum + wantedNodes, 0);
  const inForce =
    policy === null ? 'built-in policy' : `policy ${policy.strategy}, revision ${policy.revision}`;
  return `${moment(atMs)}  ${running} of ${slots} slots busy, nodes: ${nodes} up, ${wanted} wanted, ${usd(perHour)}/h for what is up, ${inForce}`;
}

function clusters({ clusters: all }: Overview): string {
  if (all.length === 0) return 'No cluster is known: none has a price, and no agent has reported.';
  return table(
    ['cluster', 'state', 'nodes', 'busy', '', 'waiting', 'tokens/s', '$/h', '$/1K', 'heard'],
    all.map((one) => [
      one.cluster,
      stateOf(one),
      nodesOf(one),
      `${one.running}/${one.slots}`,
      bar(one.running, one.slots),
      String(one.waiting),
      one.tokensPerSecond?.toFixed(1),
      priceOf(one),
      one.usdPer1k === undefined ? undefined : usd(one.usdPer1k),
      one.reportAgeMs === undefined ? undefined : `${duration(one.reportAgeMs)} ago`,
    ]),
  );
}

const stateOf = ({ phase, cordoned, paused }: ClusterStatus): string =>
  cordoned === undefined ? phase : `${phase}, ${paused ? 'paused' : 'cordoned'} (${cordoned})`;

/** Up, and wanted where that is another number: `1→2` is on its way up. */
const nodesOf = ({ readyAgents, wantedNodes = readyAgents }: ClusterStatus): string =>
  wantedNodes === readyAgents ? String(readyAgents) : `${readyAgents}→${wantedNodes}`;

const barWidth = 8;

/** A block per slot, or a part of them where there are many. */
function bar(running: number, slots: number): string {
  const width = Math.min(slots, barWidth);
  const full = slots === 0 ? 0 : Math.min(width, Math.ceil((running / slots) * width));
  return '█'.repeat(full) + '░'.repeat(width - full);
}

/** A price that is past its time says so: decisions still use it, at a markup. */
function priceOf({ usdPerHour, priceStaleMs }: ClusterStatus): string | undefined {
  if (usdPerHour === undefined) return undefined;
  return priceStaleMs === undefined
    ? usd(usdPerHour)
    : `${usd(usdPerHour)}, stale for ${duration(priceStaleMs)}`;
}

function queue({ queue: bands, deadLetters }: Overview): string {
  const waiting = bands.map(({ band, waiting }) => `${waiting} ${band}`).join(', ');
  return `waiting for a cluster: ${waiting}; dead letters: ${deadLetters}`;
}
