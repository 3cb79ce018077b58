import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { after, before, test } from 'node:test';
import { addressProblem } from '../../charts/llm-server/src/check-addresses.ts';

const sha256 = 'a'.repeat(64);
const file = (uri: string) => ({ name: 'm.gguf', uri, bytes: 1_000, sha256 });

/** Answers as Hugging Face's own clients expect it: a redirection that tells size and hash of the file behind it. */
const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/good': (response) =>
    response.writeHead(302, { location: '/file', 'x-linked-size': '1000', 'x-linked-etag': `"${sha256}"` }),
  '/changed': (response) =>
    response.writeHead(302, {
      location: '/file',
      'x-linked-size': '1000',
      'x-linked-etag': `"${'b'.repeat(64)}"`,
    }),
  '/shorter': (response) =>
    response.writeHead(302, { location: '/file', 'x-linked-size': '999', 'x-linked-etag': `"${sha256}"` }),
  '/moved': (response) => response.writeHead(301, { location: '/file' }),
  '/file': (response) => response.writeHead(200, { 'content-length': '1000' }),
  '/mute': (response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }),
};

let url = '';
const server = createServer((request: IncomingMessage, response) => {
  assert.equal(request.method, 'HEAD', 'nothing is fetched');
  const answer = answers[request.url ?? ''];
  if (answer) answer(response);
  else response.writeHead(404);
  response.end();
});
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url = address && typeof address === 'object' ? `http://127.0.0.1:${address.port}` : assert.fail();
});
after(() => {
  server.close();
});

test('an address whose size and hash are those of the catalogue is as it should be, redirected or not', async () => {
  for (const path of ['/good', '/moved', '/file'])
    assert.equal(await addressProblem(file(url + path)), undefined);
});

test('an address that is gone, or has another file, is told with what differs', async () => {
  const cases = {
    '/changed': /has the hash b+, not a+/,
    '/shorter': /has 999 bytes, not 1000/,
    '/mute': /does not say its size/,
    '/gone': /answers 404/,
  };
  for (const [path, problem] of Object.entries(cases))
    assert.match((await addressProblem(file(url + path))) ?? '', problem);
  assert.match((await addressProblem(file('http://127.0.0.1:1/m'))) ?? '', /cannot be reached/);
});
