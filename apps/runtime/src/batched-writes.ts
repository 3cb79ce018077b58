import { Socket } from 'node:net';
import { type NatsConnection, NatsConnectionImpl } from 'nats';

/**
 * Sends what one turn of the event loop publishes in one write. The client library writes to its socket after every
 * microtask that published something, which under load is a system call, and a read of the server's, for nearly every
 * message. Nothing waits longer than the turn in which it was published. Call it after every connect: a reconnect brings
 * a new socket.
 *
 * The library has no option for this and keeps its socket to itself; should a later version keep it elsewhere, its own
 * way of writing remains.
 */
export function batchWrites(nc: NatsConnection): void {
  if (!(nc instanceof NatsConnectionImpl)) return;
  const socket: unknown = Reflect.get(nc.protocol.transport, 'socket');
  if (!(socket instanceof Socket) || batched.has(socket)) return;
  batched.add(socket);
  const uncork = () => socket.uncork();
  socket.write = new Proxy(socket.write, {
    apply(write, self, args) {
      if (socket.writableCorked === 0) {
        socket.cork();
        setImmediate(uncork);
      }
      return Reflect.apply(write, self, args);
    },
  });
}

const batched = new WeakSet<Socket>();
