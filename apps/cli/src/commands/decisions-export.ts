import { command, readNumber } from '../command.ts';
import { eachDecision } from '../nats/observations.ts';

const hourMs = 3_600_000;

/** Recorded decisions as the replay reads them. */
export const decisionsExport = command({
  name: 'decisions export',
  usage: '[--hours <n>] [--json]',
  summary: 'recorded decisions of the last 24 hours, one line of JSON each, for `npm run replay`',
  options: { json: { type: 'boolean' }, hours: { type: 'string' } },
  run: async ({ values }, { io, connect }) => {
    const hours = readNumber('--hours', values.hours ?? '24');
    const unreadable = await eachDecision(await connect(), Date.now() - hours * hourMs, (record) =>
      io.out(JSON.stringify(record)),
    );
    if (unreadable > 0) io.note(`${unreadable} records could not be read and are left out`);
  },
});
