import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { readAws } from './aws.ts';
import { readAzure } from './azure.ts';
import { readGcp } from './gcp.ts';
import { clouds, drainBudgetMs, handOverMs, type SpotNotice } from './notice.ts';

/** Answers as the clouds document them. */
const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/spot/${name}`, import.meta.url), 'utf8');
const ok = (body: string) => ({ status: 200, body });

test('AWS: 404 is no notice, an instance action is one with its time', () => {
  assert.deepEqual(readAws({ status: 404, body: '' }), { kind: 'none' });
  assert.deepEqual(readAws(ok(fixture('aws-terminate.json'))), {
    kind: 'notice',
    notice: { cloud: 'aws', action: 'terminate', atMs: Date.UTC(2017, 8, 18, 8, 22) },
  });
});

test('AWS: an action that cannot be read is still a notice, and any other status is not', () => {
  assert.equal(readAws(ok('nonsense')).kind, 'notice');
  for (const status of [401, 429, 500, 503]) assert.equal(readAws({ status, body: '' }).kind, 'failed');
});

test('GCP: TRUE is a notice, FALSE is none, anything else is nothing that is known', () => {
  assert.deepEqual(readGcp(ok('TRUE\n')), {
    kind: 'notice',
    notice: { cloud: 'gcp', action: 'preempt' },
  });
  assert.deepEqual(readGcp(ok('FALSE')), { kind: 'none' });
  assert.equal(readGcp(ok('<html>')).kind, 'failed');
  assert.equal(readGcp({ status: 404, body: 'TRUE' }).kind, 'failed');
});

test('Azure: only a preemption or termination of this very machine is a notice', () => {
  const body = fixture('azure-preempt.json');
  const notice = readAzure(ok(body), 'AKS-spot-12345678-vmss_3', 0);
  assert.deepEqual(notice, {
    kind: 'notice',
    notice: { cloud: 'azure', action: 'preempt', atMs: Date.UTC(2016, 8, 19, 18, 29, 47) },
  });
  // Its reboot comes first in the list, and brings it back.
  assert.equal(readAzure(ok(body), 'aks-spot-12345678-vmss_4', 0).kind, 'notice');
  assert.deepEqual(readAzure(ok(body), 'aks-spot-12345678-vmss_5', 0), { kind: 'none' });
  assert.deepEqual(readAzure(ok('{"DocumentIncarnation":1,"Events":[]}'), 'x', 0), { kind: 'none' });
  assert.equal(readAzure(ok('[]'), 'x', 0).kind, 'failed');
});

test('Azure: an event that has started leaves no time', () => {
  const body = fixture('azure-preempt.json')
    .replaceAll('"Scheduled"', '"Started"')
    .replaceAll(/"NotBefore": "[^"]*"/g, '"NotBefore": ""');
  const answer = readAzure(ok(body), 'aks-spot-12345678-vmss_3', 5_000);
  assert.equal(answer.kind === 'notice' && answer.notice.atMs, 5_000);
});

test('running jobs go on for what is configured or what the machine has left, whichever is less', () => {
  const notice: SpotNotice = { cloud: 'aws', action: 'terminate', atMs: 100_000 };
  assert.equal(drainBudgetMs(10_000, notice, 0), 10_000);
  assert.equal(drainBudgetMs(10_000, notice, 95_000), 5_000 - handOverMs);
  assert.equal(drainBudgetMs(10_000, notice, 200_000), 0);
  assert.equal(drainBudgetMs(60_000, { cloud: 'gcp', action: 'preempt' }, 0), 15_000 - handOverMs);
});

test('a budget is never negative, never above what is configured, and leaves time to hand over', () => {
  const anyNotice = fc.record({
    cloud: fc.constantFrom(...clouds),
    action: fc.constant('any'),
    atMs: fc.integer({ min: 0, max: 1_000_000 }),
  });
  fc.assert(
    fc.property(fc.nat(300_000), anyNotice, fc.nat(1_000_000), (configuredMs, notice, nowMs) => {
      const budgetMs = drainBudgetMs(configuredMs, notice, nowMs);
      assert.ok(budgetMs >= 0 && budgetMs <= configuredMs);
      if (budgetMs > 0) assert.ok(nowMs + budgetMs + handOverMs <= notice.atMs);
    }),
  );
});
