import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { modelList } from '@drover/schemas';
import { z } from 'zod';
import { sign } from '../../charts/llm-server/files/aws.mjs';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { chartsDir, madeUpDigest, resourcesOf } from './support/charts.ts';
import {
  type Faults,
  type Identity,
  identities,
  known,
  podToken,
  startFakeStore,
} from './support/fake-object-stores.ts';
import { mustBeValid } from './support/kubeconform.ts';
import { ensureTools, run, tools } from './support/tools.ts';
import { kubernetes } from './support/versions.ts';

/** The chart's own script, against fakes of the clouds' stores and of what proves who asks. */
const folder = mkdtempSync(join(tmpdir(), 'drover-stores-'));
const content = Buffer.from('a model, or what stands for one '.repeat(4_000));
const sha256 = createHash('sha256').update(content).digest('hex');
const object = 'models/llama-2_7b.Q4_K_M.gguf';
const uris: Record<Identity, string> = {
  aws: `s3://a-bucket/${object}`,
  gcp: `gs://a.bucket/${object}`,
  'gcp-metadata': `gs://a.bucket/${object}`,
  azure: `az://anaccount/container/${object}`,
};
const paths: Record<Identity, string> = {
  aws: `/a-bucket/${object}`,
  gcp: `/a.bucket/${object}`,
  'gcp-metadata': `/a.bucket/${object}`,
  azure: `/container/${object}`,
};

let script = '';
before(async () => {
  await ensureTools();
  script = await mountedScript();
});
after(() => rmSync(folder, { recursive: true }));

/** The scripts as the kubelet mounts the chart's ConfigMap: links to a folder that is a link itself. */
async function mountedScript(): Promise<string> {
  const { ok, output } = await chartWith('https://example.org/m.gguf', []);
  assert.ok(ok, output);
  const { data } = z
    .looseObject({ data: z.record(z.string(), z.string()) })
    .parse(resourcesOf(output).find(({ kind }) => kind === 'ConfigMap'));
  const mount = join(folder, 'scripts');
  mkdirSync(join(mount, '..2026'), { recursive: true });
  symlinkSync('..2026', join(mount, '..data'));
  for (const [name, text] of Object.entries(data)) {
    writeFileSync(join(mount, '..2026', name), text);
    symlinkSync(join('..data', name), join(mount, name));
  }
  return join(mount, 'fetch-model.mjs');
}

type Change = {
  readonly env?: Record<string, string>;
  readonly faults?: Faults;
  readonly token?: string;
  /** The first answer breaks off once this many bytes are on the disk. */
  readonly breaksAt?: number;
};

/** Resolves when a file of a folder has this many bytes. */
async function arrived(place: string, bytes: number): Promise<void> {
  for (let left = 500; left > 0; left -= 1) {
    if (readdirSync(place).some((file) => statSync(join(place, file)).size === bytes)) return;
    await delay(10);
  }
  throw new Error('the first part never arrived');
}

/** Fetches as the pod of the chart would. */
async function fetchAs(
  identity: Identity,
  { env = {}, faults = {}, token = podToken, breaksAt }: Change = {},
) {
  const place = mkdtempSync(join(folder, 'cache-'));
  const breaks = breaksAt && { breaks: { at: breaksAt, arrived: () => arrived(place, breaksAt) } };
  await using store = await startFakeStore(paths[identity], content, { ...faults, ...breaks });
  const tokenFile = join(mkdtempSync(join(folder, 'token-')), 'token');
  writeFileSync(tokenFile, `${token}\n`);
  const result = await run(process.execPath, [script], {
    env: {
      PATH: process.env.PATH,
      MODEL_URI: uris[identity],
      MODEL_IDENTITY: identity.replace('-metadata', ''),
      MODEL_FILE: join(place, 'm.gguf'),
      MODEL_SHA256: sha256,
      MODEL_BACKOFF: '0.01',
      MODEL_TRIES: '2',
      AWS_REGION: known.region,
      AWS_ROLE_ARN: known.role,
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
      AWS_ENDPOINT_URL_S3: store.url,
      AWS_ENDPOINT_URL_STS: `${store.url}/aws-sts`,
      ...(identity === 'gcp' ? { GCP_PROVIDER: known.provider, GCP_TOKEN_FILE: tokenFile } : {}),
      GCP_STS_URL: `${store.url}/google-sts`,
      GCE_METADATA_HOST: new URL(store.url).host,
      GCS_ENDPOINT: store.url,
      AZURE_TENANT_ID: known.tenant,
      AZURE_CLIENT_ID: known.client,
      AZURE_FEDERATED_TOKEN_FILE: tokenFile,
      AZURE_AUTHORITY_HOST: store.url,
      AZURE_STORAGE_ENDPOINT: store.url,
      ...env,
    },
  });
  const files = readdirSync(place);
  const got = files.includes('m.gguf') ? readFileSync(join(place, 'm.gguf')) : undefined;
  return { ...result, files, got, asked: store.asked, given: store.given() };
}

test("a signature is the one of AWS' own published example", () => {
  // "Authenticating Requests: Using the Authorization Header", example GET Object, of the S3 API reference.
  const { authorization } = sign(
    'https://examplebucket.s3.amazonaws.com/test.txt',
    { range: 'bytes=0-9' },
    { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
    'us-east-1',
    new Date('2013-05-24T00:00:00Z'),
  );
  assert.match(authorization, /Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41$/);
});

for (const identity of identities) {
  test(`${identity}: a model is fetched as the pod, compared and given its name`, async () => {
    const { ok, output, files, got, asked } = await fetchAs(identity, {
      env: { MODEL_BYTES: String(content.length) },
    });
    assert.ok(ok, output);
    assert.deepEqual(files, ['m.gguf']);
    assert.deepEqual(got, content);
    assert.deepEqual(asked, [{ path: paths[identity], range: undefined, status: 200 }]);
  });

  test(`${identity}: a transfer that breaks off goes on where it was, with a new proof`, async () => {
    const { ok, output, got, asked, given } = await fetchAs(identity, { breaksAt: 50_000 });
    assert.ok(ok, output);
    assert.deepEqual(got, content);
    assert.deepEqual(
      asked.map(({ range, status }) => [range, status]),
      [
        [undefined, 200],
        ['bytes=50000-', 206],
      ],
    );
    assert.equal(given, 2);
  });

  test(`${identity}: another file than the one that was meant is not kept`, async () => {
    const { ok, files, output } = await fetchAs(identity, { env: { MODEL_SHA256: '0'.repeat(64) } });
    assert.ok(!ok && output.includes('SHA-256'), output);
    assert.deepEqual(files, []);
  });

  test(`${identity}: a store that refuses is asked as often as was granted, and nothing is left behind`, async () => {
    const { ok, files, output, asked } = await fetchAs(identity, { faults: { forbids: true } });
    assert.ok(!ok && output.includes(`${uris[identity]} answered 403`), output);
    assert.deepEqual([files, asked.map(({ status }) => status)], [[], [403, 403]]);
  });

  test(`${identity}: keys or a token that the store does not know are refused`, async () => {
    const { ok, asked, given } = await fetchAs(identity, { faults: { wrongKeys: true } });
    assert.ok(!ok && given === 2);
    assert.deepEqual(
      asked.map(({ status }) => status),
      [403, 403],
    );
  });

  test(`${identity}: a redirect is not followed, because it would carry the proof away`, async () => {
    await using thief = await startFakeStore(paths[identity], content);
    const { ok, output, asked } = await fetchAs(identity, {
      faults: { redirectsTo: `${thief.url}${paths[identity]}` },
    });
    assert.ok(!ok && output.includes('answered 307'), output);
    assert.deepEqual([asked.length, thief.asked.length], [2, 0]);
  });

  test(`${identity}: nothing that proves anything is ever written down`, async () => {
    for (const faults of [{}, { forbids: true }]) {
      const { output } = await fetchAs(identity, { faults });
      assert.ok(!/fake|Bearer|Signature/.test(output), output);
    }
  });

  if (identity !== 'gcp-metadata')
    test(`${identity}: a pod with another token gets nothing, and the store is not even asked`, async () => {
      const { ok, output, asked, given } = await fetchAs(identity, { token: 'fake-token-of-another-pod' });
      assert.ok(!ok && /answered 400 (InvalidIdentityToken|invalid_grant)/.test(output), output);
      assert.deepEqual([asked.length, given], [0, 0]);
      assert.ok(!output.includes('fake-token'), output);
    });
}

test("a blob's https address is asked with the identity too", async () => {
  const { ok, output, got } = await fetchAs('azure', {
    env: { MODEL_URI: `https://anaccount.blob.core.windows.net/container/${object}` },
  });
  assert.ok(ok, output);
  assert.deepEqual(got, content);
});

test('no other address gets to see the identity, and no object is asked for without one', async () => {
  for (const [MODEL_IDENTITY, MODEL_URI] of [
    ['azure', `https://example.org/container/${object}`],
    ['azure', `https://anaccount.blob.core.windows.net.example.org/container/${object}`],
    ['aws', `https://a-bucket.s3.amazonaws.com/${object}`],
    ['aws', uris.gcp],
    ['', uris.aws],
    ['../x', uris.aws],
  ] as const) {
    const { ok, asked, given, output } = await fetchAs('azure', { env: { MODEL_IDENTITY, MODEL_URI } });
    assert.ok(!ok, `${MODEL_IDENTITY} ${MODEL_URI}: ${output}`);
    assert.deepEqual([asked.length, given], [0, 0], MODEL_URI);
  }
});

test('the right to read that an address carries in its query is not told', async () => {
  const { ok, output } = await fetchAs('aws', {
    env: { MODEL_IDENTITY: '', MODEL_URI: 'http://127.0.0.1:9/m?sig=secret', MODEL_TRIES: '1' },
  });
  assert.ok(!ok && !output.includes('sig='), output);
});

test('addresses of objects are taken in the list of models, and those that could be read in two ways are not', () => {
  const list = JSON.parse(readFileSync(join(projectRoot, 'schemas/models/catalogue.json'), 'utf8'));
  const at = (uri: string) =>
    modelList.safeParse({ ...list, models: [{ ...list.models[0], file: { ...list.models[0].file, uri } }] });
  for (const uri of [...Object.values(uris), `https://anaccount.blob.core.windows.net/container/${object}`])
    assert.ok(at(uri).success, uri);
  for (const uri of [
    'http://example.org/m.gguf',
    'file:///etc/passwd',
    's3://bucket',
    's3://a.bucket/m.gguf',
    's3://bucket/../m.gguf',
    's3://bucket/a//m.gguf',
    's3://bucket/m.gguf?versionId=1',
    's3://bucket/a%2Fm.gguf',
    'gs://bucket/a b.gguf',
    'az://account/m.gguf',
    'az://Account/container/m.gguf',
    'az://account/container/m.gguf#x',
  ])
    assert.ok(!at(uri).success, uri);
});

/** The chart with a list whose first model is at this address. */
async function chartWith(uri: string, args: readonly string[]) {
  const chart = join(mkdtempSync(join(folder, 'chart-')), 'llm-server');
  mkdirSync(chart);
  cpSync(join(chartsDir, 'llm-server'), chart, { recursive: true });
  const list = JSON.parse(readFileSync(join(chart, 'files/catalogue.json'), 'utf8'));
  list.models[0].file.uri = uri;
  writeFileSync(join(chart, 'files/catalogue.json'), JSON.stringify(list));
  const digests = ['agent', 'llama'].map((image) => `image.${image}.digest=${madeUpDigest}`);
  const sets = ['cluster=a', 'spot.enabled=false', ...digests, ...args].flatMap((pair) => ['--set', pair]);
  return run(tools.helm, ['template', 'x', chart, '--kube-version', kubernetes, ...sets]);
}

const given = {
  aws: [
    'modelStore.identity=aws',
    `modelStore.aws.roleArn=${known.role}`,
    `modelStore.aws.region=${known.region}`,
  ],
  gcp: ['modelStore.identity=gcp', `modelStore.gcp.provider=${known.provider}`],
  'gcp-metadata': ['cloud=gcp', 'modelStore.identity=gcp'],
  azure: [
    'modelStore.identity=azure',
    `modelStore.azure.tenantId=${known.tenant}`,
    `modelStore.azure.clientId=${known.client}`,
  ],
} as const satisfies Record<Identity, readonly string[]>;
const audiences = {
  aws: 'sts.amazonaws.com',
  gcp: `https:${known.provider}`,
  'gcp-metadata': undefined,
  azure: 'api://AzureADTokenExchange',
} as const satisfies Record<Identity, string | undefined>;

const podIn = (manifest: string) =>
  Object(resourcesOf(manifest).find(({ kind }) => kind === 'Deployment')?.spec).template.spec;

for (const identity of identities)
  test(`${identity}: the chart mounts a token for that cloud only, and only where the model is fetched`, async () => {
    const { ok, output } = await chartWith(uris[identity], given[identity]);
    assert.ok(ok, output);
    await mustBeValid(output, identity);
    const pod = podIn(output);
    assert.equal(pod.automountServiceAccountToken, false);
    const tokens = pod.volumes.flatMap(
      ({ projected }: { projected?: { sources: unknown[] } }) => projected?.sources ?? [],
    );
    const audience = audiences[identity];
    assert.deepEqual(
      tokens,
      audience ? [{ serviceAccountToken: { audience, expirationSeconds: 3600, path: 'token' } }] : [],
    );
    const mounting = [...pod.initContainers, ...pod.containers]
      .filter(({ volumeMounts }) => volumeMounts.some(({ name }: { name: string }) => name === 'identity'))
      .map(({ name }) => name);
    assert.deepEqual(mounting, audience ? ['fetch-model'] : []);
    // Every variable is one that a file beside the script reads.
    const { env } = pod.initContainers.find(({ name }: { name: string }) => name === 'fetch-model');
    const scripts = ['fetch-model', 'aws', 'gcp', 'azure'].map((name) =>
      readFileSync(join(chartsDir, `llm-server/files/${name}.mjs`), 'utf8'),
    );
    for (const { name } of env)
      assert.ok(
        scripts.some((script) => script.includes(name)),
        name,
      );
    const metadata = output.includes('169.254.169.254/32');
    assert.equal(metadata, identity === 'gcp-metadata');
  });

test('an identity is not used where everybody may read, and without one an object is refused', async () => {
  const plain = await chartWith('https://example.org/m.gguf', given.aws);
  assert.ok(plain.ok, plain.output);
  assert.ok(!/serviceAccountToken:|MODEL_IDENTITY|AWS_/.test(JSON.stringify(podIn(plain.output))));
  for (const identity of identities) {
    const none = await chartWith(uris[identity], []);
    assert.ok(!none.ok && none.output.includes('modelStore.identity must be'), none.output);
  }
  const other = await chartWith(uris.aws, given.azure);
  assert.ok(!other.ok && other.output.includes('modelStore.identity must be aws'), other.output);
});

test('an identity without what it needs, or with what cannot be one, is refused by the schema of the values', async () => {
  for (const args of [
    ['modelStore.identity=aws'],
    ['modelStore.identity=aws', `modelStore.aws.roleArn=${known.role}`],
    [...given.aws, 'modelStore.aws.roleArn=models'],
    ['modelStore.identity=azure', `modelStore.azure.clientId=${known.client}`],
    [...given.azure, 'modelStore.azure.tenantId=x'],
    ['cloud=aws', 'modelStore.identity=gcp'],
    [...given.gcp, 'modelStore.gcp.provider=https://example.org'],
    ['modelStore.identity=oracle'],
  ]) {
    const { ok, output } = await chartWith('https://example.org/m.gguf', args);
    assert.ok(!ok && output.includes("values don't meet"), `${args}: ${output}`);
  }
});
