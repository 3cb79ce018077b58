import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type DecisionRecord, decisionRecord, type Policy, parseValue, policy } from '@drover/schemas';
import { replay, verdictOf, verdictOfReplay } from '../../apps/scheduler/src/core/replay.ts';
import type { Decision } from '../../apps/scheduler/src/core/types.ts';

/**
 * Decides recorded decisions again: by their own policies, which must give the same decisions bit for bit, and, with
 * `--policy`, by another one, saying what that would have chosen and cost. Each decision is replayed on the state that was
 * recorded: what the other choice would have changed for later ones is not in the figures.
 *
 *     npm run --silent drover -- decisions export > decisions.jsonl        one record a line
 *     node test/sim/replay.ts --decisions decisions.jsonl [--policy other.json]
 */
const { values: options } = parseArgs({
  options: { decisions: { type: 'string' }, policy: { type: 'string' } },
});
if (options.decisions === undefined) {
  console.error('usage: replay --decisions file.jsonl [--policy other.json]');
  process.exit(64);
}
const other = options.policy === undefined ? undefined : readPolicy(options.policy);

const counts = { records: 0, withoutInputs: 0, same: 0, different: 0, unreadable: 0 };
const moves = new Map<string, number>();
const sums = {
  recorded: { usd: 0, totalMs: 0, n: 0 },
  other: { usd: 0, totalMs: 0, n: 0 },
  refused: 0,
  notOther: 0,
};

for await (const line of createInterface({ input: createReadStream(options.decisions) })) {
  if (line.trim() === '') continue;
  const record = readRecord(line);
  if (!record) counts.unreadable++;
  else take(record);
}
print();
if (counts.different > 0 || counts.unreadable > 0) process.exitCode = 1;

function take(record: DecisionRecord): void {
  counts.records++;
  const again = replay(record);
  if (!again) {
    counts.withoutInputs++;
    return;
  }
  const isSame = verdictOfReplay(again, record.decidedAtMs) === verdictOf(record);
  counts[isSame ? 'same' : 'different']++;
  if (!isSame) console.log(`differs: ${record.tenant} ${record.request} attempt ${record.attempt}`);
  const otherwise = other && replay(record, other);
  if (otherwise) compare(again, otherwise);
}

/** Both costs are what the decision's own figures say: marginal USD and time of the chosen cluster. */
function compare(then: Decision, now: Decision): void {
  if (then.kind === 'assign') add(sums.recorded, then);
  else sums.refused++;
  if (now.kind === 'assign') add(sums.other, now);
  else sums.notOther++;
  const from = then.kind === 'assign' ? then.cluster : then.kind;
  const to = now.kind === 'assign' ? now.cluster : now.kind;
  if (from !== to) moves.set(`${from} → ${to}`, (moves.get(`${from} → ${to}`) ?? 0) + 1);
}

function add(sum: typeof sums.recorded, { chosen }: Extract<Decision, { kind: 'assign' }>): void {
  sum.usd += chosen.prediction.marginalUsd;
  sum.totalMs += chosen.prediction.totalMs;
  sum.n++;
}

function print(): void {
  const { records, same, different, withoutInputs, unreadable } = counts;
  console.log(
    `${records} decisions: ${same} the same again, ${different} not, ${withoutInputs} without inputs`,
  );
  if (unreadable > 0) console.log(`${unreadable} lines are no decisions`);
  if (!other) return;
  const { recorded, other: otherwise, refused, notOther } = sums;
  const mean = ({ totalMs, n }: typeof recorded) => (n === 0 ? '–' : `${(totalMs / n / 1_000).toFixed(2)} s`);
  console.log(
    `recorded: ${recorded.n} assigned, $${recorded.usd.toPrecision(6)} marginal, ${mean(recorded)} predicted, ${refused} refused`,
  );
  console.log(
    `other:    ${otherwise.n} assigned, $${otherwise.usd.toPrecision(6)} marginal, ${mean(otherwise)} predicted, ${notOther} refused or left waiting`,
  );
  for (const [move, n] of [...moves].sort((a, b) => b[1] - a[1])) console.log(`  ${n} × ${move}`);
}

function readRecord(line: string): DecisionRecord | undefined {
  const parsed = parseValue(decisionRecord, parseJson(line));
  return parsed.ok ? parsed.value : undefined;
}

function readPolicy(file: string): Policy {
  const parsed = parseValue(policy, parseJson(readFileSync(file, 'utf8')));
  if (parsed.ok) return parsed.value;
  console.error(`${file}: ${parsed.problem}`);
  return process.exit(78);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
