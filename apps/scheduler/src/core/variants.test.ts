import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogue, subjects } from '@drover/schemas';
import fc from 'fast-check';
import { aRequest } from '../../testing/builders.ts';
import { takeIn } from './intake.ts';
import { armOf } from './variants.ts';

const body = (more: Record<string, unknown> = {}) => ({
  model: 'small',
  messages: [{ role: 'user', content: 'hello' }],
  ...more,
});
const ofUser = (user: string, change: Record<string, unknown> = {}) =>
  aRequest({ body: body({ user }), ...change });
const users = Array.from({ length: 2_000 }, (_, n) => `user-${n}`);
const variant = (models: Record<string, number>) => ({ name: 'small', models });
const offer = {
  v: 1,
  models: ['q4', 'q8'].map((name) => ({ name, endpoints: ['chat'], contextTokens: 2_048 })),
  variants: [variant({ q4: 3, q8: 1 })],
};

test('a user keeps its model from request to request, whatever its requests are called', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.nat(), (user, one, other) => {
      const of = (id: number) => armOf(variant({ q4: 1, q8: 1 }), ofUser(user, { id: `r${id}` }));
      assert.deepEqual(of(one), of(other));
    }),
  );
});

test('models get users by weight, and one of weight 0 gets none', () => {
  const arms = users.map((user) => armOf(variant({ q4: 3, q8: 1, q2: 0 }), ofUser(user)).model);
  const share = arms.filter((model) => model === 'q4').length / arms.length;
  assert.ok(share > 0.71 && share < 0.79, `${share}`);
  assert.ok(!arms.includes('q2'));
});

test('a larger weight moves users to its model and none to another', () => {
  for (const user of users) {
    const before = armOf(variant({ a: 1, b: 1, c: 1 }), ofUser(user)).model;
    const after = armOf(variant({ a: 1, b: 2, c: 1 }), ofUser(user)).model;
    assert.ok(after === before || after === 'b');
  }
});

test('the same name of a user at another tenant is another user', () => {
  const units = ['t1', 't2'].map((tenant) => armOf(variant({ a: 1, b: 1 }), ofUser('bob', { tenant })).unit);
  assert.notEqual(units[0], units[1]);
  assert.ok(!units.some((unit) => unit.includes('bob')));
});

test('a session that names no user is kept together, and requests that name neither are split', () => {
  const models = variant({ a: 1, b: 1 });
  const session = (id: string) => armOf(models, aRequest({ id, body: body({ prompt_cache_key: 's1' }) }));
  assert.deepEqual(session('r1'), session('r2'));
  const alone = users.map((_, n) => armOf(models, aRequest({ id: `r${n}`, body: body() })).model);
  assert.equal(new Set(alone).size, 2);
});

test('a request for a variant waits for the model that it was given, and says which', () => {
  const asked = ofUser('bob');
  const incoming = {
    subject: subjects.request(asked.priority, asked.tenant, asked.id),
    data: new TextEncoder().encode(JSON.stringify(asked)),
    storedAtMs: 0,
  };
  const intake = takeIn(incoming, catalogue.parse(offer), 0);
  assert.ok(intake.kind === 'waiting');
  const { waiting } = intake;
  assert.deepEqual(waiting.arm, armOf(variant({ q4: 3, q8: 1 }), asked));
  assert.equal(waiting.model, waiting.arm?.model);
  assert.equal(waiting.request.body.model, waiting.arm?.model);
});

test('a variant without weights, of models that are not there, or with the name of a model is refused', () => {
  assert.ok(catalogue.safeParse(offer).success);
  for (const models of [{}, { q4: 0 }, { q9: 1 }, { q4: -1 }])
    assert.equal(catalogue.safeParse({ ...offer, variants: [variant(models)] }).success, false);
  assert.equal(
    catalogue.safeParse({ ...offer, variants: [{ name: 'q4', models: { q8: 1 } }] }).success,
    false,
  );
  assert.equal(
    catalogue.safeParse({ ...offer, variants: [{ ...variant({ q4: 1 }), sticky: true }] }).success,
    false,
  );
});
