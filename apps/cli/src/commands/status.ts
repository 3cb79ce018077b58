import { command } from '../command.ts';
import { screen } from '../core/screen.ts';
import { readOverview } from '../nats/overview.ts';

/** The system at this moment. */
export const status = command({
  name: 'status',
  usage: '[--json]',
  summary: 'clusters, queue, prices and dead letters at this moment',
  options: { json: { type: 'boolean' } },
  run: async ({ values }, { io, connect }) => {
    const overview = await readOverview(await connect());
    io.out(values.json ? JSON.stringify(overview) : screen(overview));
  },
});
