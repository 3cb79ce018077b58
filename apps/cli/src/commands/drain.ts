import { setTimeout as sleep } from 'node:timers/promises';
import type { Nats } from '@drover/runtime';
import { type ClusterId, type Cordon, cordon } from '@drover/schemas';
import { type Command, type Context, confirm, readArgs, readNumber } from '../command.ts';
import { CliError } from '../errors.ts';
import { backlogOf, cordonKey, existingCluster } from '../nats/clusters.ts';
import { deleteKey, putKey, readKeys, revisionOf } from '../nats/keys.ts';

const lookEveryMs = 500;

/** Closes a cluster to new work, and waits until it has finished what it has. */
export const drain: Command = {
  name: 'drain',
  usage: '<cluster> [--reason <text>] [--no-wait] [--timeout-s <seconds>] [--yes] [--json]',
  summary: 'gives a cluster nothing new, and waits until it has finished what it has',
  run: async (args, { io, connect, by }) => {
    const { values, positionals } = readArgs(
      args,
      {
        json: { type: 'boolean' },
        yes: { type: 'boolean' },
        reason: { type: 'string', default: 'drained' },
        'no-wait': { type: 'boolean' },
        'timeout-s': { type: 'string', default: '600' },
      },
      [1, 1],
    );
    const timeoutMs = readNumber('--timeout-s', values['timeout-s'], 0) * 1_000;
    const nats = await connect();
    const cluster = await existingCluster(nats, positionals[0] ?? '');
    await confirm(io, `Give ${cluster} nothing new?`, values.yes);
    const { bucket, key } = cordonKey(cluster);
    const revision = await revisionOf(nats, bucket, key);
    const value: Cordon = { v: 1, reason: values.reason, by, asOf: new Date().toISOString() };
    const parsed = cordon.safeParse(value);
    if (!parsed.success) throw new CliError('usage', '--reason needs 1 to 200 characters');
    await putKey(nats, bucket, key, parsed.data, { revision, by });
    if (!values.json) io.note(`${cluster} gets nothing new.`);
    const left = values['no-wait']
      ? await jobsAt(nats, cluster)
      : await emptied(nats, cluster, timeoutMs, io);
    if (values.json) io.out(JSON.stringify({ cluster, cordoned: true, jobs: left }));
    else io.out(left === 0 ? `${cluster} is empty.` : `${left} jobs are still at ${cluster}.`);
  },
};

/** Opens a cluster that was drained. */
export const uncordon: Command = {
  name: 'uncordon',
  usage: '<cluster> [--json]',
  summary: 'opens a drained cluster to new work again',
  run: async (args, { io, connect }) => {
    const { values, positionals } = readArgs(args, { json: { type: 'boolean' } }, [1, 1]);
    const nats = await connect();
    const cluster = await existingCluster(nats, positionals[0] ?? '');
    const { bucket, key } = cordonKey(cluster);
    const [closed] = await readKeys(nats, bucket, key, cordon);
    if (closed !== undefined) await deleteKey(nats, bucket, key, closed.revision);
    if (values.json) io.out(JSON.stringify({ cluster, cordoned: false, changed: closed !== undefined }));
    else io.out(closed === undefined ? `${cluster} was open.` : `${cluster} is open again.`);
  },
};

async function jobsAt(nats: Nats, cluster: ClusterId): Promise<number> {
  const { running, waiting } = (await backlogOf(nats, cluster)) ?? { running: 0, waiting: 0 };
  return running + waiting;
}

/**
 * Resolves when no job was left at two looks in a row: one may have been on its way when the cluster was closed.
 * @throws CliError `timeout`; the cluster stays closed
 */
async function emptied(
  nats: Nats,
  cluster: ClusterId,
  timeoutMs: number,
  io: Context['io'],
): Promise<number> {
  const giveUpMs = performance.now() + timeoutMs;
  let shown: number | undefined;
  while (!io.leaving.aborted) {
    const left = await jobsAt(nats, cluster);
    if (left === 0 && shown === 0) return 0;
    if (left !== shown && left > 0) io.note(`${left} jobs are still there`);
    shown = left;
    if (performance.now() >= giveUpMs)
      throw new CliError('timeout', `${left} jobs are still at ${cluster}, which stays closed`);
    await sleep(lookEveryMs, undefined, { signal: io.leaving }).catch(() => {});
  }
  return jobsAt(nats, cluster);
}
