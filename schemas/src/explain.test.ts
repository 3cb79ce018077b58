import assert from 'node:assert/strict';
import test from 'node:test';
import { explainDecision } from './explain.ts';
import { type DecisionRecord, decisionRecord } from './messages/decision.ts';
import { clusterId } from './names.ts';

const record: DecisionRecord = decisionRecord.parse({
  v: 1,
  request: 'r1',
  tenant: 't1',
  model: 'smollm2',
  priority: 'standard',
  attempt: 1,
  decidedAtMs: 1,
  queueMs: 12,
  strategy: 'cost',
  policyRevision: 3,
  estimate: { promptTokens: 20, outputTokens: 200 },
  kind: 'assign',
  chosen: 'aws',
  rule: 'lowest-score',
  candidates: [
    {
      cluster: 'aws',
      slots: 4,
      load: 1,
      usdPerHour: 0.0928,
      costs: { nominalUsdPer1k: 0.001719, marginalUsd: 0.0003, realisedUsdPer1k: 0.004 },
      predicted: { ttftMs: 80, tpotMs: 66, totalMs: 13_000 },
      score: 0.0003,
    },
    { cluster: 'gcp', slots: 2, load: 2, rejection: { code: 'no-free-slot', detail: '2 jobs, 2 slots' } },
  ],
});

test('an assignment is explained with the rule, the policy and every cluster with its numbers', () => {
  const text = explainDecision(record);
  for (const part of [
    'went to aws because it scored best',
    'policy revision 3',
    '12 ms',
    '$0.00172 per 1K tokens at capacity',
    '$0.00400 per 1K tokens lately',
    '$0.000300 for this request',
    'aws could take it; 1 of 4 slots',
    'gcp could not take it: no-free-slot (2 jobs, 2 slots)',
  ])
    assert.ok(text.includes(part), `${part} is missing in:\n${text}`);
});

test('a refusal is explained without a chosen cluster', () => {
  const { chosen: _, ...rest } = record;
  const text = explainDecision({ ...rest, kind: 'reject', rule: 'model_not_found', candidates: [] });
  assert.match(text, /was refused: model_not_found/);
});

test('a later attempt says which one it is', () => {
  assert.match(explainDecision({ ...record, attempt: 2 }), /attempt 2/);
});

test('what belongs to an experiment is told, and that a shadow changed nothing', () => {
  const about = { experiment: 'trial', policy: 'other' };
  const tried: DecisionRecord = {
    ...record,
    turn: { ...about, window: 4, windowStartsAtMs: 0 },
    arm: { variant: 'small', model: 'smollm2', unit: '1' },
    shadow: { ...about, kind: 'assign', chosen: clusterId.parse('gcp') },
  };
  const text = explainDecision(tried);
  assert.match(text, /The name small gave it smollm2\./);
  assert.match(text, /turn of policy other in experiment trial \(window 4\)/);
  assert.match(text, /shadow policy other would have chosen gcp\. That changed nothing\./);
  const same = { ...about, kind: 'assign' as const, chosen: clusterId.parse('aws') };
  assert.match(explainDecision({ ...record, shadow: same }), /would have also chosen aws/);
  assert.match(
    explainDecision({ ...record, shadow: { ...about, kind: 'error', error: 'x' } }),
    /other failed: x\./,
  );
});
