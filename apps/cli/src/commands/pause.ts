import { setTimeout as sleep } from 'node:timers/promises';
import type { Nats } from '@drover/runtime';
import type { ClusterId } from '@drover/schemas';
import { type Command, type Context, command, confirm, readNumber } from '../command.ts';
import { projectRoot } from '../config.ts';
import type { ClusterStatus } from '../core/fleet.ts';
import { duration, usd } from '../core/words.ts';
import { type Hibernation, hibernation, type WorldOf } from '../deploy/hibernate.ts';
import { realWorld } from '../deploy/world.ts';
import { CliError } from '../errors.ts';
import { existingCluster } from '../nats/clusters.ts';
import { closeCluster, emptied, openCluster } from '../nats/cordons.ts';
import { readOverview } from '../nats/overview.ts';

const lookEveryMs = 1_000;

/** Sends a cluster to sleep: no new work, then no work, then no node, and none is woken until it is resumed. */
export const pauseCommand = (worldOf: WorldOf = realWorld, root = projectRoot): Command =>
  command({
    name: 'pause',
    usage:
      '<cluster> [--env <dev|staging|prod>] [--reason <text>] [--no-wait] [--timeout-s <seconds>] [--yes] [--json]',
    summary: 'drains a cluster and lets its nodes go (with --env the system nodes too); says what that saves',
    options: {
      json: { type: 'boolean' },
      env: { type: 'string' },
      yes: { type: 'boolean' },
      reason: { type: 'string', default: 'paused' },
      'no-wait': { type: 'boolean' },
      'timeout-s': { type: 'string', default: '1200' },
    },
    positionals: [1, 1],
    run: async ({ values, positionals }, context) => {
      const { io, connect, by } = context;
      const timeoutMs = readNumber('--timeout-s', values['timeout-s'], 0) * 1_000;
      if (values.env !== undefined && values['no-wait'])
        throw new CliError('usage', 'system nodes go last: --env and --no-wait do not go together');
      const nats = await connect();
      const cluster = await existingCluster(nats, positionals[0] ?? '');
      const systemNodes = await prepared(context, cluster, values, true, { worldOf, root });
      const before = await statusOf(nats, cluster);
      const saved = savingOf(before);
      await confirm(
        io,
        `Let ${cluster} finish what it has and take all its nodes away (${saved.text})?`,
        values.yes,
      );
      await closeCluster(nats, cluster, { reason: values.reason, by, paused: true });
      const note = values.json ? () => {} : io.note;
      note(`${cluster} gets nothing new.`);
      const startedMs = performance.now();
      const atZero = values['no-wait'] ? false : await wentToZero(nats, cluster, timeoutMs, { ...io, note });
      if (atZero) await systemNodes?.run();
      const result = { cluster, paused: true, atZero, nodesBefore: before.readyAgents, ...saved.json };
      if (values.json) io.out(JSON.stringify(result));
      else if (!atZero) io.out(`${cluster} is closed; its nodes go when nothing runs there. ${saved.text}`);
      else io.out(`${cluster} is at zero after ${duration(performance.now() - startedMs)}: ${saved.text}.`);
    },
  });

/** Opens a cluster that sleeps. Its first node comes with the first request that it is the cheapest for. */
export const resumeCommand = (worldOf: WorldOf = realWorld, root = projectRoot): Command =>
  command({
    name: 'resume',
    usage: '<cluster> [--env <dev|staging|prod>] [--yes] [--json]',
    summary: 'opens a paused cluster again; the next request that wants it wakes it',
    options: { json: { type: 'boolean' }, yes: { type: 'boolean' }, env: { type: 'string' } },
    positionals: [1, 1],
    run: async ({ values, positionals }, context) => {
      const { io, connect } = context;
      const nats = await connect();
      const cluster = await existingCluster(nats, positionals[0] ?? '');
      // Work for a cluster without the nodes that its own parts run on would wait in vain.
      await (await prepared(context, cluster, values, false, { worldOf, root }))?.run();
      const changed = await openCluster(nats, cluster);
      if (values.json) io.out(JSON.stringify({ cluster, paused: false, changed }));
      else io.out(changed ? `${cluster} is open; it wakes when it is wanted.` : `${cluster} was not paused.`);
    },
  });

/** What is to be done with system nodes; undefined when no environment was named. */
const prepared = async (
  context: Context,
  cluster: ClusterId,
  { env, yes, json }: { env?: string | undefined; yes?: boolean | undefined; json?: boolean | undefined },
  paused: boolean,
  where: { worldOf: WorldOf; root: string },
): Promise<Hibernation | undefined> =>
  env === undefined
    ? undefined
    : hibernation(
        context,
        { environment: env, cluster, paused, yes: yes === true, quiet: json === true },
        where,
      );

async function statusOf(nats: Nats, cluster: ClusterId): Promise<ClusterStatus> {
  const found = (await readOverview(nats)).clusters.find((one) => one.cluster === cluster);
  if (found === undefined)
    throw new CliError('unknown_cluster', `${cluster} has neither a price nor ever reported`);
  return found;
}

/** What the nodes that are up cost; without a price nobody knows. */
function savingOf({ usdPerHour, readyAgents }: ClusterStatus): {
  readonly text: string;
  readonly json: { readonly savesUsdPerHour?: number };
} {
  if (usdPerHour === undefined) return { text: 'what it saves is not known: it has no price', json: {} };
  const savesUsdPerHour = usdPerHour * readyAgents;
  if (readyAgents === 0)
    return { text: `it has no node now; each would cost ${usd(usdPerHour)}/h`, json: { savesUsdPerHour } };
  const nodes = readyAgents === 1 ? '1 node' : `${readyAgents} nodes`;
  return {
    text: `${usd(savesUsdPerHour)}/h less for ${nodes} at ${usd(usdPerHour)}/h`,
    json: { savesUsdPerHour },
  };
}

/**
 * True once nothing is wanted of the cluster and its last agent has left; false when the person leaves before.
 * @throws CliError `timeout`; the cluster stays closed, and goes to zero whenever it can
 */
async function wentToZero(
  nats: Nats,
  cluster: ClusterId,
  timeoutMs: number,
  io: Context['io'],
): Promise<boolean> {
  const giveUpMs = performance.now() + timeoutMs;
  if ((await emptied(nats, cluster, timeoutMs, io)) > 0) return false;
  io.note('Nothing runs there.');
  let shown = '';
  while (!io.leaving.aborted) {
    const { phase, wantedNodes = 0 } = await statusOf(nats, cluster);
    if (wantedNodes === 0 && phase === 'at-zero') return true;
    const text =
      wantedNodes > 0 ? `${wantedNodes} nodes are still wanted` : `no node is wanted; it is ${phase}`;
    if (text !== shown) io.note(text);
    shown = text;
    if (performance.now() >= giveUpMs)
      throw new CliError(
        'timeout',
        `${cluster} is closed, and ${text} after ${timeoutMs / 1_000} s: does an autoscaler look after it?`,
      );
    await sleep(lookEveryMs, undefined, { signal: io.leaving }).catch(() => {});
  }
  return false;
}
