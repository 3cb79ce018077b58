import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Nats } from '@drover/runtime';
import { agentId, clusterId, parseMessage, type Report, report } from '@drover/schemas';
import { Reporter } from './reporter.ts';

test('an agent that stops right after a report still says that it drains', () => {
  const said: Report['phase'][] = [];
  const publish = (_subject: string, data: string) => {
    const parsed = parseMessage(report, new TextEncoder().encode(data));
    if (parsed.ok) said.push(parsed.value.phase);
  };
  // The reporter publishes, and asks nothing else of NATS.
  const fakeNats = { nc: { publish } } as unknown as Nats;
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
