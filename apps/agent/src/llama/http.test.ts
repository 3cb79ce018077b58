import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { z } from 'zod';
import { BackendError } from './backend-error.ts';
import { LlamaHttp } from './http.ts';

type Server = AsyncDisposable & { readonly url: string; readonly connections: Set<Socket> };

async function serve(answer: (calls: number, socket: Socket) => string | undefined): Promise<Server> {
  const connections = new Set<Socket>();
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume();
    const text = answer(++calls, request.socket);
    if (text !== undefined) response.end(text);
  });
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return {
    url: `http://127.0.0.1:${address.port}`,
    connections,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const anything = z.looseObject({});
const never = new AbortController().signal;

test('a call on a connection that was just being closed is made again', async () => {
  await using server = await serve((calls, socket) => {
    if (calls !== 2) return '{"ok":true}';
    socket.destroy();
    return undefined;
  });
  const http = new LlamaHttp(server.url);
  await http.post('/a', {}, anything, never);
  assert.deepEqual(await http.post('/b', {}, anything, never), { ok: true });
  await http.close();
});

test('a server that breaks every connection is a failure, not a loop', async () => {
  await using server = await serve((_calls, socket) => {
    socket.destroy();
    return undefined;
  });
  const http = new LlamaHttp(server.url);
  await assert.rejects(http.post('/a', {}, anything, never), (error) => {
    assert.ok(error instanceof BackendError);
    assert.equal(error.refusal.kind, 'failed');
    return true;
  });
  await http.close();
});

test('nobody listening is down, which is not the same as failed', async () => {
  const server = await serve(() => '');
  await server[Symbol.asyncDispose]();
  const http = new LlamaHttp(server.url);
  await assert.rejects(http.post('/a', {}, anything, never), (error) => {
    assert.ok(error instanceof BackendError && error.refusal.kind === 'down');
    return true;
  });
  await http.close();
});

test('an abort rejects with its reason and closes the connection', async () => {
  await using server = await serve(() => undefined);
  const http = new LlamaHttp(server.url);
  const stop = new AbortController();
  const asking = http.post('/a', {}, anything, stop.signal);
  while (server.connections.size === 0) await new Promise(setImmediate);
  const reason = new Error('enough');
  stop.abort(reason);
  await assert.rejects(asking, reason);
  while (server.connections.size > 0) await new Promise(setImmediate);
  await http.close();
});

test('a character that the network cuts in two arrives whole', async () => {
  await using server = await serve(() => JSON.stringify({ text: '🙂'.repeat(50_000) }));
  const http = new LlamaHttp(server.url);
  const { text } = await http.post('/a', {}, z.object({ text: z.string() }), never);
  assert.equal(text, '🙂'.repeat(50_000));
  await http.close();
});
