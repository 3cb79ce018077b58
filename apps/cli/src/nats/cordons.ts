import { setTimeout as sleep } from 'node:timers/promises';
import type { Nats } from '@drover/runtime';
import { type ClusterId, type Cordon, cordon } from '@drover/schemas';
import { CliError } from '../errors.ts';
import type { Io } from '../io.ts';
import { backlogOf, cordonKey } from './clusters.ts';
import { deleteKey, putKey, readKeys, revisionOf } from './keys.ts';

const lookEveryMs = 500;

/** Closes a cluster to new work. @param paused its nodes shall go too   @throws CliError `usage`, `conflict` */
export async function closeCluster(
  nats: Nats,
  cluster: ClusterId,
  { reason, by, paused }: { reason: string; by: string; paused: boolean },
): Promise<void> {
  const { bucket, key } = cordonKey(cluster);
  const revision = await revisionOf(nats, bucket, key);
  const value: Cordon = {
    v: 1,
    reason,
    by,
    asOf: new Date().toISOString(),
    ...(paused ? { paused: true } : {}),
  };
  const parsed = cordon.safeParse(value);
  if (!parsed.success) throw new CliError('usage', '--reason needs 1 to 200 characters');
  await putKey(nats, bucket, key, parsed.data, { revision, by });
}

/** Opens a cluster. False when it was open. @throws CliError `conflict` */
export async function openCluster(nats: Nats, cluster: ClusterId): Promise<boolean> {
  const { bucket, key } = cordonKey(cluster);
  const [closed] = await readKeys(nats, bucket, key, cordon);
  if (closed !== undefined) await deleteKey(nats, bucket, key, closed.revision);
  return closed !== undefined;
}

export async function jobsAt(nats: Nats, cluster: ClusterId): Promise<number> {
  const { running, waiting } = (await backlogOf(nats, cluster)) ?? { running: 0, waiting: 0 };
  return running + waiting;
}

/**
 * Resolves with 0 when no job was left at two looks in a row: one may have been on its way when the cluster was closed. With
 * more when the person leaves.
 * @throws CliError `timeout`; the cluster stays closed
 */
export async function emptied(nats: Nats, cluster: ClusterId, timeoutMs: number, io: Io): Promise<number> {
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
