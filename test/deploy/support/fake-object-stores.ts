import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { freePort } from '../../support/nats-server.ts';

export const identities = ['aws', 'gcp', 'gcp-metadata', 'azure'] as const;
export type Identity = (typeof identities)[number];

/** What the pod proves itself with; anything else is refused. */
export const podToken = 'fake-token-of-the-pod';
/** Which role, provider, tenant and application may read. */
export const known = {
  role: 'arn:aws:iam::123456789012:role/models',
  region: 'eu-west-1',
  provider: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
  tenant: '66666666-7777-4888-8999-000000000000',
  client: '11111111-2222-4333-8444-555555555555',
} as const;

const keys = { id: 'ASIAFAKE', secret: 'fake/secret', session: 'fake-session==' };
const bearer = 'fake-bearer';

export type Faults = {
  /** Whoever gives out keys and tokens gives wrong ones: the store has to notice. */
  readonly wrongKeys?: boolean;
  /** The store refuses everybody, or sends them to this address. */
  readonly forbids?: boolean;
  readonly redirectsTo?: string;
  /** The first answer breaks off after this many bytes, when they have arrived. */
  readonly breaks?: { readonly at: number; readonly arrived: () => Promise<void> };
};

export type FakeStore = {
  readonly url: string;
  /** Requests for objects, those that were refused too. */
  readonly asked: { readonly path: string; readonly range: string | undefined; readonly status: number }[];
  /** How often somebody was given keys or a token. */
  readonly given: () => number;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * A fake of S3 and STS, of Google's storage, STS and metadata server, and of Azure's blobs and Entra ID, on loopback. It checks
 * signatures and tokens by its own code, and serves one object at one path.
 */
export async function startFakeStore(path: string, content: Buffer, faults: Faults = {}): Promise<FakeStore> {
  const asked: FakeStore['asked'] = [];
  let given = 0;
  const server = createServer(async (request, response) => {
    const issued = await issue(request, faults);
    if (issued !== undefined) {
      given += issued.status === 200 ? 1 : 0;
      return void response.writeHead(issued.status).end(issued.body);
    }
    const { range, authorization } = request.headers;
    // Clients of whoever had this port before: not ours to count.
    if (request.url !== path && authorization === undefined) return void response.writeHead(404).end();
    const status = allowed(request) && !faults.forbids ? serve(response, request, range) : refuse(response);
    asked.push({ path: request.url ?? '', range, status });
  });

  function serve(response: ServerResponse, request: IncomingMessage, range: string | undefined): number {
    if (faults.redirectsTo) {
      response.writeHead(307, { location: faults.redirectsTo }).end();
      return 307;
    }
    if (request.url !== path) {
      response.writeHead(404).end();
      return 404;
    }
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const status = from > 0 ? 206 : 200;
    response.writeHead(status, { 'content-length': content.length - from });
    const breaks = asked.length === 0 ? faults.breaks : undefined;
    if (breaks) {
      response.write(content.subarray(0, breaks.at));
      void breaks.arrived().finally(() => response.destroy());
    } else response.end(content.subarray(from));
    return status;
  }

  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    given: () => given,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

const refuse = (response: ServerResponse): number => {
  response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
  return 403;
};

type Issued = { readonly status: number; readonly body: string };

/** What gives out keys and tokens; undefined for every other request. */
async function issue(request: IncomingMessage, { wrongKeys }: Faults): Promise<Issued | undefined> {
  const { url, method, headers } = request;
  const token = JSON.stringify({ access_token: wrongKeys ? 'another' : bearer, expires_in: 3600 });
  if (method === 'GET' && url === '/computeMetadata/v1/instance/service-accounts/default/token')
    return headers['metadata-flavor'] === 'Google' ? { status: 200, body: token } : { status: 403, body: '' };
  if (method !== 'POST') return undefined;
  const form = new URLSearchParams(await text(request));
  const has = (wanted: Readonly<Record<string, string>>) =>
    Object.entries(wanted).every(([name, value]) => form.get(name) === value);
  const denied = { status: 400, body: JSON.stringify({ error: 'invalid_grant' }) };
  switch (url) {
    case '/aws-sts':
      return has({
        Action: 'AssumeRoleWithWebIdentity',
        Version: '2011-06-15',
        RoleArn: known.role,
        WebIdentityToken: podToken,
      })
        ? { status: 200, body: stsAnswer(wrongKeys ? 'another secret' : keys.secret) }
        : { status: 400, body: '<Error><Code>InvalidIdentityToken</Code></Error>' };
    case '/google-sts':
      return has({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        audience: known.provider,
        subject_token: podToken,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        scope: 'https://www.googleapis.com/auth/devstorage.read_only',
      })
        ? { status: 200, body: token }
        : denied;
    case `/${known.tenant}/oauth2/v2.0/token`:
      return has({
        grant_type: 'client_credentials',
        client_id: known.client,
        client_assertion: podToken,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        scope: 'https://storage.azure.com/.default',
      })
        ? { status: 200, body: token }
        : denied;
    default:
      return { status: 404, body: '{}' };
  }
}

const stsAnswer = (
  secret: string,
) => `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
  <AccessKeyId>${keys.id}</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey>
  <SessionToken>${keys.session}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;

/** By signature, or by token; Azure takes tokens only with a version of its service. */
function allowed({ headers, url = '' }: IncomingMessage): boolean {
  const { authorization = '' } = headers;
  if (!authorization.startsWith('AWS4-HMAC-SHA256 ')) return authorization === `Bearer ${bearer}`;
  if (headers['x-amz-security-token'] !== keys.session) return false;
  const [, credential = '', names = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? [];
  const needed = ['host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'];
  return (
    needed.every((name) => names.split(';').includes(name)) &&
    signature === expected(credential, names, url, headers)
  );
}

/** The signature that the request should have, from what was received. */
function expected(credential: string, names: string, url: string, headers: IncomingHttpHeaders): string {
  const [id, day = '', region = '', service = '', end = ''] = credential.split('/');
  const time = String(headers['x-amz-date']);
  const said = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (id !== keys.id || !time.startsWith(day) || Math.abs(said - Date.now()) > 15 * 60_000) return 'refused';
  if (region !== known.region || service !== 's3' || end !== 'aws4_request') return 'refused';
  const digest = (value: string) => createHash('sha256').update(value).digest('hex');
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}`);
  const canonical = `GET\n${url}\n\n${lines.join('\n')}\n\n${names}\n${headers['x-amz-content-sha256']}`;
  let key: string | Buffer = `AWS4${keys.secret}`;
  for (const part of [
    day,
    region,
    service,
    end,
    `AWS4-HMAC-SHA256\n${time}\n${day}/${region}/s3/aws4_request\n${digest(canonical)}`,
  ])
    key = createHmac('sha256', key).update(part).digest();
  return Buffer.from(key).toString('hex');
}
