import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, readArgs } from '../command.ts';
import { screen } from '../core/screen.ts';
import { CliError } from '../errors.ts';
import { readOverview } from '../nats/overview.ts';

const everyMs = 1_000;
/** The terminal's second screen: what was there before comes back when we leave. */
const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearLine = '\u001b[K';
const clearBelow = '\u001b[J';

/** The same as `status`, every second until Ctrl-C. With `--json`, one line each second. */
export const top: Command = {
  name: 'top',
  usage: '[--once] [--json]',
  summary: 'the same, live; Ctrl-C leaves',
  run: async (args, { io, connect }) => {
    const { values } = readArgs(args, { once: { type: 'boolean' }, json: { type: 'boolean' } });
    const draws = !values.json && !values.once;
    if (draws && !io.interactive)
      throw new CliError('usage', 'there is no terminal to draw on: say --once or --json');
    const nats = await connect();
    if (draws) io.out(enter);
    try {
      do {
        const overview = await readOverview(nats);
        if (values.json) io.out(JSON.stringify(overview));
        else if (values.once) io.out(screen(overview));
        else io.out(home + screen(overview).replaceAll('\n', `${clearLine}\n`) + clearLine + clearBelow);
        if (values.once) return;
        await sleep(everyMs, undefined, { signal: io.leaving }).catch(() => {});
      } while (!io.leaving.aborted);
    } finally {
      if (draws) io.out(leave);
    }
  },
};
