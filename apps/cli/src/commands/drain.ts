import { command, confirm, readNumber } from '../command.ts';
import { existingCluster } from '../nats/clusters.ts';
import { closeCluster, emptied, jobsAt, openCluster } from '../nats/cordons.ts';

/** Closes a cluster to new work, and waits until it has finished what it has. */
export const drain = command({
  name: 'drain',
  usage: '<cluster> [--reason <text>] [--no-wait] [--timeout-s <seconds>] [--yes] [--json]',
  summary: 'gives a cluster nothing new, and waits until it has finished what it has',
  options: {
    json: { type: 'boolean' },
    yes: { type: 'boolean' },
    reason: { type: 'string', default: 'drained' },
    'no-wait': { type: 'boolean' },
    'timeout-s': { type: 'string', default: '600' },
  },
  positionals: [1, 1],
  run: async ({ values, positionals }, { io, connect, by }) => {
    const timeoutMs = readNumber('--timeout-s', values['timeout-s'], 0) * 1_000;
    const nats = await connect();
    const cluster = await existingCluster(nats, positionals[0] ?? '');
    await confirm(io, `Give ${cluster} nothing new?`, values.yes);
    await closeCluster(nats, cluster, { reason: values.reason, by, paused: false });
    if (!values.json) io.note(`${cluster} gets nothing new.`);
    const left = values['no-wait']
      ? await jobsAt(nats, cluster)
      : await emptied(nats, cluster, timeoutMs, io);
    if (values.json) io.out(JSON.stringify({ cluster, cordoned: true, jobs: left }));
    else io.out(left === 0 ? `${cluster} is empty.` : `${left} jobs are still at ${cluster}.`);
  },
});

/** Opens a cluster that was drained. */
export const uncordon = command({
  name: 'uncordon',
  usage: '<cluster> [--json]',
  summary: 'opens a drained cluster to new work again',
  options: { json: { type: 'boolean' } },
  positionals: [1, 1],
  run: async ({ values, positionals }, { io, connect }) => {
    const nats = await connect();
    const cluster = await existingCluster(nats, positionals[0] ?? '');
    const changed = await openCluster(nats, cluster);
    if (values.json) io.out(JSON.stringify({ cluster, cordoned: false, changed }));
    else io.out(changed ? `${cluster} is open again.` : `${cluster} was open.`);
  },
});
