import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NatsConnectionImpl } from 'nats';
import { connectTo } from '../support/hub.ts';
import { startNatsServer } from '../support/nats-server.ts';

/** Counts the writes that reach the socket of a connection; fails where the library no longer keeps it. */
function countWrites(nc: unknown): () => number {
  assert.ok(nc instanceof NatsConnectionImpl);
  const socket: unknown = Reflect.get(nc.protocol.transport, 'socket');
  assert.ok(socket instanceof Socket);
  let writes = 0;
  for (const name of ['_write', '_writev'] as const) {
    const original: unknown = Reflect.get(socket, name);
    assert.ok(typeof original === 'function');
    Reflect.set(socket, name, (...args: unknown[]) => {
      writes++;
      return Reflect.apply(original, socket, args);
    });
  }
  return () => writes;
}

test('what one turn of the event loop publishes goes out in one write, in order', async () => {
  await using server = await startNatsServer();
  await using reader = await connectTo(server.url);
  await using writer = await connectTo(server.url);
  const heard: string[] = [];
  reader.nc.subscribe('t', { callback: (_, message) => void heard.push(message.string()) });
  await reader.nc.flush();
  const writes = countWrites(writer.nc);
  const sent = Array.from({ length: 10 }, (_, index) => String(index));
  for (const text of sent) {
    writer.nc.publish('t', text);
    await Promise.resolve();
    await Promise.resolve();
  }
  await nextTurn();
  await nextTurn();
  assert.equal(writes(), 1);
  await writer.nc.flush();
  await reader.nc.flush();
  assert.deepEqual(heard, sent);
});

test('writes are batched again after a reconnect', async () => {
  await using server = await startNatsServer();
  await using writer = await connectTo(server.url);
  await writer.nc.reconnect();
  await new Promise<void>((resolve) => writer.onReconnect(resolve));
  const writes = countWrites(writer.nc);
  for (let message = 0; message < 5; message++) {
    writer.nc.publish('t', '');
    await Promise.resolve();
    await Promise.resolve();
  }
  await nextTurn();
  await nextTurn();
  assert.equal(writes(), 1);
});
