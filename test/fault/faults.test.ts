import assert from 'node:assert/strict';
import test from 'node:test';
import { type Asked, faultNames, mayHit, nextFault, partNames, type Target } from './faults.ts';
import { Random } from './random.ts';

const target = (name: string): Target => {
  const kind = (['agent', 'llama', 'ingress', 'scheduler', 'nats'] as const).find((one) =>
    name.startsWith(one),
  );
  if (kind === undefined) throw new Error(name);
  return { name, kind };
};
const nodes = ['aws-1', 'aws-2', 'gcp-1', 'azure-1', 'azure-2'];
const all = [
  ...nodes.flatMap((node) => [`agent-${node}`, `llama-${node}`]),
  ...['ingress-1', 'ingress-2', 'scheduler-1', 'scheduler-2', 'nats-1', 'nats-2', 'nats-3'],
].map(target);

const anything: Asked = { faults: new Set(faultNames), parts: new Set(partNames) };

test('three nodes, an ingress, a scheduler and two nats-servers are always left', () => {
  const random = new Random(3);
  for (let run = 0; run < 200; run++) {
    const out = new Set<string>();
    for (let n = 0; n < 50; n++) {
      const fault = nextFault(random, anything, all, out);
      if (fault) out.add(fault.target.name);
    }
    const nodesOut = new Set([...out].flatMap((name) => /^(?:agent|llama)-(.+)/.exec(name)?.[1] ?? []));
    assert.ok(nodesOut.size <= 2, [...out].join());
    for (const kind of ['ingress', 'scheduler', 'nats'])
      assert.ok([...out].filter((name) => name.startsWith(kind)).length <= 1, [...out].join());
  }
});

test('an agent and its llama.cpp are not hit at the same time', () => {
  assert.equal(mayHit(target('agent-aws-1'), all, new Set(['llama-aws-1'])), false);
  assert.equal(mayHit(target('agent-aws-2'), all, new Set(['llama-aws-1'])), true);
});

test('only what was asked for happens, and nats-servers only when they are named', () => {
  const random = new Random(1);
  for (let n = 0; n < 500; n++) {
    const fault = nextFault(random, { ...anything, faults: new Set(['kill']) }, all, new Set());
    assert.equal(fault?.what, 'kill');
    assert.notEqual(fault?.target.kind, 'nats');
  }
});

test('the same seed draws the same faults', () => {
  const draw = () => {
    const random = new Random(7);
    return Array.from({ length: 100 }, () => nextFault(random, anything, all, new Set()));
  };
  assert.deepEqual(draw(), draw());
});
