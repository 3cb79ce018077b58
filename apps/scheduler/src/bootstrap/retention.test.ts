import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { defaultRetention } from '@drover/schemas';
import { z } from 'zod';
import { retentionEnv } from '../config.ts';
import { chosenRetention } from './retention.ts';

const env = (given: Record<string, string> = {}) => z.object(retentionEnv).parse(given);

test('an environment that chooses nothing gets the default retention', () => {
  assert.deepEqual(chosenRetention(env()), { retention: defaultRetention, problems: [] });
});

test('each variable sets its part, in its unit', () => {
  const { retention, problems } = chosenRetention(
    env({
      REPLIES_KEPT_MINUTES: '30',
      EVENTS_KEPT_HOURS: '48',
      LEDGER_KEPT_DAYS: '400',
      DECISIONS_MAX_MIB: '2',
    }),
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(retention, {
    ...defaultRetention,
    repliesMs: 1_800_000,
    eventsMs: 172_800_000,
    ledgerMs: 34_560_000_000,
    decisionsBytes: 2_097_152,
  });
});

test('every broken promise is told at once, with the variable and a code', () => {
  const { problems } = chosenRetention(
    env({ REPLIES_KEPT_MINUTES: '90', EVENTS_KEPT_HOURS: '1', LEDGER_KEPT_DAYS: '7' }),
  );
  assert.deepEqual(
    problems.map((problem) => problem.split(': ').slice(0, 2).join(': ')),
    [
      'EVENTS_KEPT_HOURS: events_shorter_than_replies',
      'EVENTS_KEPT_HOURS: events_shorter_than_deadline',
      'LEDGER_KEPT_DAYS: ledger_shorter_than_month',
    ],
  );
});

test('nothing is kept for no time, or for part of a unit', () => {
  for (const value of ['0', '-1', '1.5', 'a day'])
    assert.equal(z.object(retentionEnv).safeParse({ EVENTS_KEPT_HOURS: value }).success, false, value);
});

test('the table of docs/operate.md has every variable with its default, and no other', () => {
  const page = readFileSync(new URL('../../../../docs/operate.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z_]+_(?:KEPT|MAX)_[A-Z]+)` \| ([\d,]+) \|/gm)];
  const told = Object.fromEntries(rows.map(([, name, value]) => [name, Number(value?.replaceAll(',', ''))]));
  assert.deepEqual(told, env());
});
