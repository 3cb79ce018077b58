import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentId, clusterId, type Report, report } from '@drover/schemas';
import type { Payload } from 'nats';
import { Reporter } from './reporter.ts';

test('an agent that stops right after a report still says that it drains', () => {
  const said: Report['phase'][] = [];
  const publish = (_subject: string, data?: Payload) => {
    const parsed = report.safeParse(JSON.parse(String(data)));
    if (parsed.success) said.push(parsed.data.phase);
  };
  const fakeNats = { nc: { publish } };
  let phase: Report['phase'] = 'ready';
  const who = { cluster: clusterId.parse('aws'), agent: agentId.parse('a') };
  const reporter = new Reporter(
    fakeNats,
    who,
    () => ({ phase, slots: 1, inFlight: [] }),
    () => false,
  );
  reporter.changed();
  phase = 'draining';
  reporter.changed();
  reporter.stop();
  assert.deepEqual(said, ['ready', 'draining']);
});
