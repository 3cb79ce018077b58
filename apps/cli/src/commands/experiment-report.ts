import { command, readNumber } from '../command.ts';
import { pageOf } from '../core/experiment/page.ts';
import { reportOf } from '../core/experiment/report.ts';
import { readObservations } from '../nats/observations.ts';

const hourMs = 3_600_000;

/** What experiments, variants and shadow policies have shown. */
export const experimentReport = command({
  name: 'experiment report',
  usage: '[--hours <n>] [--json]',
  summary: 'what policies in turns, variants of models and shadow policies have shown in the last 24 hours',
  options: { json: { type: 'boolean' }, hours: { type: 'string' } },
  run: async ({ values }, { io, connect }) => {
    const hours = readNumber('--hours', values.hours ?? '24');
    const observations = await readObservations(await connect(), Date.now() - hours * hourMs);
    const report = reportOf(observations.all(), observations.looks);
    const { unreadable } = observations;
    io.out(values.json ? JSON.stringify({ ...report, unreadable }) : pageOf(report));
    if (unreadable > 0 && !values.json) io.note(`${unreadable} records could not be read and are left out`);
  },
});
