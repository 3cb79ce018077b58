import { EventLog, type Nats } from '@drover/runtime';
import { type AttemptRecord, attemptsOf } from '@drover/schemas';
import { command, readNumber } from '../command.ts';
import { attemptsTable } from '../core/attempts.ts';
import type { DeadLetter } from '../core/dead-letter.ts';
import { moment } from '../core/words.ts';
import { openDeadLetter } from '../nats/dead-letters.ts';

/** One dead letter with every attempt. The prompt only when it is asked for. */
export const deadShow = command({
  name: 'dead show',
  usage: '<request> [--seq <n>] [--body] [--json]',
  summary: 'one dead letter, with the reason of every attempt; --body shows the prompt too',
  options: { json: { type: 'boolean' }, body: { type: 'boolean' }, seq: { type: 'string' } },
  positionals: [1, 1],
  run: async ({ values, positionals }, { io, connect }) => {
    const seq = values.seq === undefined ? undefined : readNumber('--seq', values.seq, 1);
    const nats = await connect();
    const { letter, data } = await openDeadLetter(nats, positionals[0] ?? '', seq);
    const attempts = await attemptsAt(nats, letter);
    const body = values.body ? new TextDecoder().decode(data) : undefined;
    if (values.json) {
      io.out(JSON.stringify({ ...letter, attempts, ...(body === undefined ? {} : { body }) }));
      return;
    }
    io.out(
      [
        `request   ${letter.request}`,
        `died      ${moment(letter.diedAtMs)} (sequence ${letter.seq})`,
        `reason    ${letter.reason}`,
        `problem   ${letter.problem}`,
        `subject   ${letter.subject}`,
        attempts.length === 0 ? 'It was never tried.' : `\n${attemptsTable(attempts)}`,
        ...(body === undefined ? [] : ['', body]),
      ].join('\n'),
    );
  },
});

/** What the letter says; of a letter without attempts, what the events of the last day say. */
async function attemptsAt(nats: Nats, letter: DeadLetter): Promise<readonly AttemptRecord[]> {
  if (letter.attempts.length > 0) return letter.attempts;
  return attemptsOf(await new EventLog(nats, '*', letter.request).all());
}
