import { setTimeout as sleep } from 'node:timers/promises';
import type { Nats } from '@drover/runtime';
import { type Context, command } from '../command.ts';
import type { Overview } from '../core/overview.ts';
import { fitted, painted } from '../core/paint.ts';
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
export const top = command({
  name: 'top',
  usage: '[--once] [--json]',
  summary: 'the same, live; Ctrl-C leaves',
  options: { once: { type: 'boolean' }, json: { type: 'boolean' } },
  run: async ({ values }, { io, connect }) => {
    const draws = !values.json && !values.once;
    if (draws && !io.interactive)
      throw new CliError('usage', 'there is no terminal to draw on: say --once or --json');
    const nats = await connect();
    if (draws) io.out(enter);
    try {
      do {
        const overview = await look(nats, draws ? io : undefined);
        if (overview && values.json) io.out(JSON.stringify(overview));
        else if (overview && values.once) io.out(screen(overview));
        else if (overview) draw(io, screen(overview));
        if (values.once) return;
        await sleep(everyMs, undefined, { signal: io.leaving }).catch(() => {});
      } while (!io.leaving.aborted);
    } finally {
      if (draws) io.out(leave);
    }
  },
});

/** @param io where a person watches: a hub that restarts is back in seconds, and they want to see that */
async function look(nats: Nats, io: Context['io'] | undefined): Promise<Overview | undefined> {
  try {
    return await readOverview(nats);
  } catch (error) {
    if (io === undefined) throw error;
    draw(io, `The hub does not answer (${error instanceof Error ? error.message : error}); still trying.`);
    return undefined;
  }
}

const someSize = { columns: 120, rows: 40 };

function draw(io: Context['io'], text: string): void {
  const { columns, rows } = io.size?.() ?? someSize;
  // Room for the line on which the cursor rests, and for the way out.
  const body = painted(fitted(`${text}\n\nCtrl-C leaves`, { columns, rows: rows - 1 }));
  io.out(home + body.replaceAll('\n', `${clearLine}\n`) + clearLine + clearBelow);
}
