import { type Command, readArgs } from '../command.ts';
import { screen } from '../core/screen.ts';
import { readOverview } from '../nats/overview.ts';

/** The system at this moment. */
export const status: Command = {
  name: 'status',
  usage: '[--json]',
  summary: 'clusters, queue, prices and dead letters at this moment',
  run: async (args, { io, connect }) => {
    const { values } = readArgs(args, { json: { type: 'boolean' } });
    const overview = await readOverview(await connect());
    io.out(values.json ? JSON.stringify(overview) : screen(overview));
  },
};
