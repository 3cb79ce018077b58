import assert from 'node:assert/strict';
import test from 'node:test';
import { catalogue } from '@drover/schemas';
import fc from 'fast-check';
import { aRequest } from '../../testing/builders.ts';
import { takeIn } from './intake.ts';

const models = catalogue.parse({
  v: 1,
  models: [{ name: 'm1', aliases: ['small'], endpoints: ['chat'], contextTokens: 2_048 }],
});
const incoming = (data: unknown, subject = 'llm.req.standard.t1.r1') => ({
  subject,
  data: new TextEncoder().encode(typeof data === 'string' ? data : JSON.stringify(data)),
  storedAtMs: 500,
});
const named = (model: string) => aRequest({ body: { model, messages: [{ role: 'user', content: 'x' }] } });

test('an alias is replaced by the name, and other fields of the body stay', () => {
  const body = { model: 'small', messages: [{ role: 'user', content: 'x' }], top_k: 7 };
  const intake = takeIn(incoming(aRequest({ body })), models, 1_000);
  assert.ok(intake.kind === 'waiting');
  assert.equal(intake.waiting.model, 'm1');
  assert.deepEqual(intake.waiting.request.body, { ...body, model: 'm1' });
  assert.equal(intake.waiting.arrivedAtMs, 500);
});

test('an unknown model and an endpoint that the model does not serve are refused', () => {
  const unknown = takeIn(incoming(named('nonsense')), models, 0);
  assert.equal(unknown.kind === 'refused' && unknown.code, 'model_not_found');
  const embedding = aRequest({ endpoint: 'embedding', body: { model: 'm1', input: 'x' } });
  const refused = takeIn(incoming(embedding), models, 0);
  assert.equal(refused.kind === 'refused' && refused.code, 'endpoint_not_served');
});

test('without a catalogue every model name is taken as it is', () => {
  assert.equal(takeIn(incoming(named('anything')), undefined, 0).kind, 'waiting');
});

test('a message that says something else than its subject is invalid', () => {
  for (const subject of ['llm.req.standard.t2.r1', 'llm.req.standard.t1.r2', 'llm.req.batch.t1.r1'])
    assert.equal(takeIn(incoming(aRequest(), subject), models, 0).kind, 'invalid');
});

test('only on the subject of keyed requests may a message name an API key, and there it has to', () => {
  const keyed = aRequest({ key: 'k1' });
  const plain = takeIn(incoming(keyed), models, 0);
  assert.match(plain.kind === 'invalid' ? plain.problem : '', /^key: only an ingress/);
  const subject = 'llm.req.standard-keyed.t1.r1';
  const intake = takeIn(incoming(keyed, subject), undefined, 0);
  assert.equal(intake.kind === 'waiting' && intake.waiting.request.key, 'k1');
  assert.equal(takeIn(incoming(aRequest(), subject), models, 0).kind, 'invalid');
});

test('no message makes it throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.jsonValue()), (data) => {
      assert.equal(takeIn(incoming(data), models, 0).kind, 'invalid');
    }),
  );
});
