import { EventLog, readSubject } from '@drover/runtime';
import {
  attemptsOf,
  decisionRecord,
  explainDecision,
  parseMessage,
  requestId,
  streams,
  subjects,
} from '@drover/schemas';
import { command } from '../command.ts';
import { attemptsTable, outcomeLine } from '../core/attempts.ts';
import { CliError } from '../errors.ts';

/** Every decision about a request, what came of it, and how it ended. */
export const explain = command({
  name: 'explain',
  usage: '<request> [--json]',
  summary: 'why a request went where it went, and what became of it',
  options: { json: { type: 'boolean' } },
  positionals: [1, 1],
  run: async ({ values, positionals }, { io, connect }) => {
    const id = requestId.safeParse(positionals[0]);
    if (!id.success) throw new CliError('usage', `"${positionals[0]}" is no request id`);
    const nats = await connect();
    const [decided, events] = await Promise.all([
      readSubject(nats, streams.decisions.name, subjects.decision('*', id.data)),
      new EventLog(nats, '*', id.data).all(),
    ]);
    const decisions = decided.flatMap(({ data }) => {
      const parsed = parseMessage(decisionRecord, data);
      return parsed.ok ? [parsed.value] : [];
    });
    if (decisions.length === 0 && events.length === 0)
      throw new CliError('not_found', `nothing is known of ${id.data}; its records may be past their time`);
    // The one that runs now has not failed.
    const isRunning = events.at(-1)?.event.state === 'running';
    const attempts = attemptsOf(isRunning ? events.slice(0, -1) : events);
    if (values.json) {
      io.out(JSON.stringify({ request: id.data, decisions, events, attempts }));
      return;
    }
    for (const decision of decisions) io.out(explainDecision(decision));
    if (attempts.length > 0) io.out(attemptsTable(attempts));
    io.out(outcomeLine(events));
  },
});
