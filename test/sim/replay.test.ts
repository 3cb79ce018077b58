import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { DecisionRecord } from '@drover/schemas';
import { decide } from '../../apps/scheduler/src/core/decide.ts';
import { decisionRecordOf } from '../../apps/scheduler/src/core/record.ts';
import {
  aCandidate,
  aContext,
  anAsk,
  aPolicy,
  aTariff,
  aWaiting,
} from '../../apps/scheduler/testing/builders.ts';

const folder = mkdtempSync(join(tmpdir(), 'drover-replay-'));
after(() => rmSync(folder, { recursive: true }));
const script = fileURLToPath(new URL('./replay.ts', import.meta.url));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

function write(name: string, content: string): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

/** Decisions of a fleet in which the cheap cluster is busy and the dear one is not. */
const records: DecisionRecord[] = [1, 2, 3].map((load) => {
  const fleet = [
    aCandidate('aws', { load, tariff: aTariff(0.01) }),
    aCandidate('gcp', { tariff: aTariff(1) }),
  ];
  const ask = anAsk();
  const decision = decide(ask, fleet, aContext());
  assert.ok(decision.kind === 'assign');
  const { cluster, rule, considered, basis } = decision;
  const policy = { value: aPolicy(), revision: 1 };
  return decisionRecordOf(
    aWaiting(),
    ask.estimate,
    { kind: 'assign', cluster, rule },
    considered,
    policy,
    0,
    basis,
  );
});
const decisions = write('decisions.jsonl', records.map((record) => JSON.stringify(record)).join('\n'));

test('recorded decisions are the same again', () => {
  const { status, stdout } = run('--decisions', decisions);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /3 decisions: 3 the same again, 0 not/);
});

test('a decision that was tampered with is found', () => {
  const [first, ...others] = records;
  assert.ok(first);
  const altered = [{ ...first, rule: 'incumbent-kept' }, ...others];
  const file = write('altered.jsonl', altered.map((record) => JSON.stringify(record)).join('\n'));
  const { status, stdout } = run('--decisions', file);
  assert.equal(status, 1);
  assert.match(stdout, /differs: t1 r1/);
});

test('another policy is told with its moves and its cost, and a wrong one is refused', () => {
  const other = write('other.json', JSON.stringify({ v: 1, strategy: 'latency' }));
  const { status, stdout } = run('--decisions', decisions, '--policy', other);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /3 × aws → gcp/);
  assert.match(stdout, /other: +3 assigned, \$/);
  const wrong = write('wrong.json', JSON.stringify({ v: 1, strategy: 'cost', margin: 3 }));
  const refused = run('--decisions', decisions, '--policy', wrong);
  assert.equal(refused.status, 78);
  assert.match(refused.stderr, /margin/);
});
