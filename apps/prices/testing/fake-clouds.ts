import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const cloudNames = ['aws', 'azure', 'gcp'] as const;
export type CloudName = (typeof cloudNames)[number];

/** An answer that is given once, instead of the recorded one. `hang`: none at all. */
export type Fault =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | 'hang'
  | 'break';

export const fakeApiKey = 'fake-key';

const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');

/** A fake of the three price lists: answers with the recorded pages, in order, to whoever asks as the clouds want it. */
export class FakeClouds implements AsyncDisposable {
  /** What was asked, in order. */
  readonly asked: { readonly cloud: CloudName; readonly url: string; readonly body: string }[] = [];
  /** Given first, one per question. */
  readonly faults: Record<CloudName, Fault[]> = { aws: [], azure: [], gcp: [] };
  /** Changes what is recorded before it is sent. */
  rewrite: (cloud: CloudName, body: string) => string = (_, body) => body;
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  static async start(): Promise<FakeClouds> {
    const fake = new FakeClouds();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** As the environment of the app names them. */
  get places() {
    return {
      AWS_EC2_URL: this.url,
      AZURE_PRICES_URL: this.url,
      GCP_BILLING_URL: this.url,
      GCP_BILLING_API_KEY: fakeApiKey,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += chunk;
    const url = new URL(request.url ?? '/', this.url);
    const cloud: CloudName =
      request.method === 'POST' ? 'aws' : url.pathname === '/api/retail/prices' ? 'azure' : 'gcp';
    this.asked.push({ cloud, url: `${url.pathname}${url.search}`, body });
    const fault = this.faults[cloud].shift();
    if (fault === 'hang') return;
    if (fault === 'break') {
      request.socket.destroy();
      return;
    }
    if (fault) {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    }
    const { status, text } = this.#recorded(cloud, url, request, new URLSearchParams(body));
    response
      .writeHead(status, { 'content-type': cloud === 'aws' ? 'text/xml' : 'application/json' })
      .end(this.rewrite(cloud, text));
  }

  #recorded(
    cloud: CloudName,
    url: URL,
    { headers }: IncomingMessage,
    form: URLSearchParams,
  ): { status: number; text: string } {
    switch (cloud) {
      case 'aws':
        if (!headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential='))
          return { status: 403, text: ec2Error('MissingAuthenticationToken') };
        if (form.get('Action') !== 'DescribeSpotPriceHistory')
          return { status: 400, text: ec2Error('InvalidAction') };
        return { status: 200, text: fixture(form.has('NextToken') ? 'aws-spot-2.xml' : 'aws-spot-1.xml') };
      case 'azure': {
        const page = fixture(url.searchParams.has('$skip') ? 'azure-retail-2.json' : 'azure-retail-1.json');
        return { status: 200, text: page.replace('https://prices.azure.com:443', this.url) };
      }
      case 'gcp':
        if (headers['x-goog-api-key'] !== fakeApiKey || url.pathname !== '/v1/services/6F81-5844-456A/skus')
          return { status: 403, text: '{ "error": { "code": 403, "status": "PERMISSION_DENIED" } }' };
        return {
          status: 200,
          text: fixture(url.searchParams.has('pageToken') ? 'gcp-skus-2.json' : 'gcp-skus-1.json'),
        };
      default:
        return cloud satisfies never;
    }
  }
}

const ec2Error = (code: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>${code}</Code><Message>fake</Message></Error></Errors><RequestID>fake</RequestID></Response>`;
