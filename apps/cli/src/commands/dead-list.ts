import { command, readNumber } from '../command.ts';
import { table } from '../core/table.ts';
import { moment } from '../core/words.ts';
import { listDeadLetters } from '../nats/dead-letters.ts';

/** Dead letters, the newest last. */
export const deadList = command({
  name: 'dead list',
  usage: '[--reason <reason>] [--limit <n>] [--json]',
  summary: 'what could not be processed, with the reason',
  options: {
    json: { type: 'boolean' },
    reason: { type: 'string' },
    limit: { type: 'string', default: '100' },
  },
  run: async ({ values }, { io, connect }) => {
    const limit = readNumber('--limit', values.limit, 1);
    const all = await listDeadLetters(await connect(), values.reason);
    const shown = all.slice(-limit);
    if (values.json) {
      io.out(JSON.stringify(shown));
      return;
    }
    if (all.length > shown.length) io.note(`the last ${shown.length} of ${all.length}`);
    if (shown.length === 0) io.out('There is no dead letter.');
    else
      io.out(
        table(
          ['seq', 'died', 'request', 'reason', 'attempts', 'problem'],
          shown.map(({ seq, diedAtMs, request, reason, attempts, problem }) => [
            String(seq),
            moment(diedAtMs),
            request,
            reason,
            String(attempts.length),
            problem,
          ]),
        ),
      );
  },
});
