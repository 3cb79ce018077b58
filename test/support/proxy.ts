import { connect, createServer, type Socket } from 'node:net';

export type Proxy = AsyncDisposable & {
  readonly port: number;
  /** Resets every connection and refuses new ones: a link that was cut. */
  cut(): void;
  /** Accepts connections again. */
  heal(): void;
  /** Keeps every connection open and passes nothing: a black hole. */
  freeze(): void;
  thaw(): void;
};

/** A TCP proxy on loopback in front of a server on loopback, to cut or freeze the link. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let open = true;
  let frozen = false;
  const server = createServer((client) => {
    if (!open) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(targetPort, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      // Small messages must not wait for each other: the link itself has no such delay.
      from.setNoDelay();
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
      if (frozen) from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    cut: () => {
      open = false;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    heal: () => {
      open = true;
    },
    freeze: () => {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw: () => {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    [Symbol.asyncDispose]: async () => {
      open = false;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
