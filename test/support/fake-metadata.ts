import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/**
 * The metadata services of AWS, GCP and Azure on loopback, as far as spot notices go; as strict about headers as the real
 * ones. `machine` is the name that Azure gives.
 */
export type FakeMetadata = AsyncDisposable & {
  readonly url: string;
  /** Questions so far, as `METHOD path`. */
  readonly asked: string[];
  /** From now on the machine will be taken away at this time. */
  notify(atMs: number): void;
  withdraw(): void;
  /** Answers with this status to everything; undefined: as usual. */
  fail(status: number | undefined): void;
  /** The tokens given out so far are not accepted any more. */
  forgetTokens(): void;
};

const machine = 'aks-spot-12345678-vmss_3';

export async function startFakeMetadata(): Promise<FakeMetadata> {
  const asked: string[] = [];
  const waiting = new Set<() => void>();
  let atMs: number | undefined;
  let failure: number | undefined;
  let token = 1;
  let etag = 1;

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://fake');
    asked.push(`${request.method} ${pathname}`);
    if (failure !== undefined) answer(response, failure);
    else if (pathname.startsWith('/latest/')) aws(request, response, pathname);
    else if (pathname.startsWith('/computeMetadata/')) gcp(request, response, searchParams);
    else if (pathname.startsWith('/metadata/')) azure(request, response, pathname);
    else answer(response, 404);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  function aws(request: IncomingMessage, response: ServerResponse, path: string) {
    if (path === '/latest/api/token') {
      const allowed = request.method === 'PUT' && request.headers['x-aws-ec2-metadata-token-ttl-seconds'];
      answer(response, allowed ? 200 : 400, `token-${token}`);
    } else if (request.headers['x-aws-ec2-metadata-token'] !== `token-${token}`) {
      answer(response, 401);
    } else if (atMs === undefined) {
      answer(response, 404);
    } else {
      const time = new Date(atMs).toISOString().replace(/\.\d+/, '');
      answer(response, 200, JSON.stringify({ action: 'terminate', time }));
    }
  }

  function gcp(request: IncomingMessage, response: ServerResponse, query: URLSearchParams) {
    if (request.headers['metadata-flavor'] !== 'Google') return answer(response, 403);
    const tell = () => {
      response.setHeader('etag', `e${etag}`);
      answer(response, 200, atMs === undefined ? 'FALSE' : 'TRUE');
    };
    if (query.get('wait_for_change') !== 'true' || query.get('last_etag') !== `e${etag}`) return tell();
    const change = () => {
      waiting.delete(change);
      clearTimeout(timer);
      tell();
    };
    const timer = setTimeout(change, Number(query.get('timeout_sec')) * 1_000);
    waiting.add(change);
    response.once('close', () => {
      waiting.delete(change);
      clearTimeout(timer);
    });
  }

  function azure(request: IncomingMessage, response: ServerResponse, path: string) {
    if (request.headers.metadata !== 'true') return answer(response, 400);
    if (path === '/metadata/instance/compute/name') return answer(response, 200, machine);
    const event = {
      EventId: 'e1',
      EventType: 'Preempt',
      ResourceType: 'VirtualMachine',
      Resources: [machine],
      EventStatus: 'Scheduled',
      NotBefore: new Date(atMs ?? 0).toUTCString(),
    };
    answer(
      response,
      200,
      JSON.stringify({ DocumentIncarnation: 1, Events: atMs === undefined ? [] : [event] }),
    );
  }

  const changed = (to: number | undefined) => {
    atMs = to;
    etag++;
    for (const tell of [...waiting]) tell();
  };
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    notify: (at) => changed(at),
    withdraw: () => changed(undefined),
    fail: (status) => {
      failure = status;
    },
    forgetTokens: () => {
      token++;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const answer = (response: ServerResponse, status: number, body = '') => response.writeHead(status).end(body);
