import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { partNames } from './faults.ts';
import { type Result, runFaults } from './harness.ts';
import { defaults, type RunOptions } from './options.ts';
import { print, summarize } from './summary.ts';

async function run(context: TestContext, options: Partial<RunOptions>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'drover-fault-'));
  try {
    const given = { folder, signal: context.signal, say: () => {} };
    return await runFaults({ ...defaults, ...options }, given);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function assertKept(result: Result): void {
  const summary = summarize(result);
  const shown = print([{ hub: 'this run', summary }]);
  const { violations, history } = result;
  const faults = history.faults.map(({ what, part, lastsMs }) => `${what} ${part} ${lastsMs}`);
  assert.deepEqual(violations, [], [shown, ...faults].join('\n'));
  assert.ok(summary.completed > 0 && summary.accepted === history.clients.length, shown);
}

test('twelve kills, pauses, partitions and drains in between, cost no client a token', async (context) => {
  assertKept(await run(context, { kills: 12, seed: 7, everyMs: 800 }));
});

test('of three nats-servers, one may die with the work of an agent in its hands', async (context) => {
  const parts = new Set(partNames.filter((name) => name === 'agent' || name === 'nats'));
  assertKept(await run(context, { kills: 5, seed: 4, nodes: 3, parts, faults: new Set(['kill', 'nats']) }));
});
