import { buckets, experiment, policyKeys } from '@drover/schemas';
import { command, confirm } from '../command.ts';
import { CliError } from '../errors.ts';
import { deleteKey, readKeys } from '../nats/keys.ts';

/** Ends the experiment: the active policy is in force again, and no shadow is asked. What was recorded stays. */
export const experimentStop = command({
  name: 'experiment stop',
  usage: '[--yes] [--json]',
  summary: 'ends the experiment; the active policy is in force again',
  options: { json: { type: 'boolean' }, yes: { type: 'boolean' } },
  run: async ({ values }, { io, connect }) => {
    const nats = await connect();
    const bucket = buckets.policy.name;
    const [running] = await readKeys(nats, bucket, policyKeys.experiment, experiment);
    if (!running) throw new CliError('not_found', 'there is no experiment');
    const { name } = running.value;
    await confirm(io, `End experiment ${name}?`, values.yes);
    await deleteKey(nats, bucket, running.key, running.revision);
    io.out(values.json ? JSON.stringify({ stopped: name }) : `Experiment ${name} is over.`);
  },
});
