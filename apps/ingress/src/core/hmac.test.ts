import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isFresh, isSignedBy, parseClaim, type SignedRequest, sign } from './hmac.ts';

const secret = 'a secret of some length';
const nowMs = 1_700_000_000_000;
const ts = nowMs / 1_000;
const request: SignedRequest = {
  method: 'POST',
  path: '/v1/chat/completions?x=1',
  body: Buffer.from('{"model":"smol"}'),
};
const header = (signature: string, more: Partial<Record<'key' | 'ts' | 'nonce', string>> = {}) =>
  `DroverHMAC key=${more.key ?? 'h1'}, ts=${more.ts ?? ts}, nonce=${more.nonce ?? 'nonce-0001'}, signature=${signature}`;
const signed = () => parseClaim(header(sign(secret, ts, 'nonce-0001', request).toString('hex')));

test('a signature made as documented is accepted', () => {
  const claim = signed();
  assert.ok(claim !== undefined && isSignedBy(secret, claim, request) && isFresh(claim, nowMs));
});

test('a change of any signed part breaks the signature', () => {
  const claim = signed();
  assert.ok(claim !== undefined);
  const tampered: [typeof claim, SignedRequest][] = [
    [{ ...claim, ts: claim.ts + 1 }, request],
    [{ ...claim, nonce: 'nonce-0002' }, request],
    [claim, { ...request, method: 'GET' }],
    [claim, { ...request, path: '/v1/chat/completions?x=2' }],
    [claim, { ...request, body: Buffer.from('{"model":"smoL"}') }],
  ];
  for (const [someClaim, someRequest] of tampered) assert.ok(!isSignedBy(secret, someClaim, someRequest));
  assert.ok(!isSignedBy(`${secret}.`, claim, request));
});

test('a signature is fresh for five minutes either way', () => {
  const claim = signed();
  assert.ok(claim !== undefined);
  for (const [seconds, fresh] of [
    [-301, false],
    [-300, true],
    [300, true],
    [301, false],
  ] as const) {
    assert.equal(isFresh(claim, nowMs + seconds * 1_000), fresh);
  }
});

test('a header that lacks a field, repeats one or has a bad one is no claim', () => {
  const hex = 'a'.repeat(64);
  for (const bad of [
    'DroverHMAC ',
    `DroverHMAC key=h1, ts=${ts}, nonce=nonce-0001`,
    `${header(hex)}, key=h2`,
    `${header(hex)}, other=1`,
    header('xyz'),
    header(hex.slice(1)),
    header(hex, { ts: 'now' }),
    header(hex, { nonce: 'short' }),
    `Bearer ${hex}`,
  ]) {
    assert.equal(parseClaim(bad), undefined, bad);
  }
});

test('no header makes the parser throw', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseClaim(`DroverHMAC ${text}`)));
});
