import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { modelList } from '@drover/schemas';
import { parse } from 'yaml';
import { memoryMib, modelFiles } from '../../charts/llm-server/src/models.ts';
import { ensureLlama, projectRoot } from '../../infra/local/src/parts.ts';
import { chartsDir, render, resourcesOf, variants } from './support/charts.ts';
import { ensureTools, must, run, tools } from './support/tools.ts';
import { kubernetes } from './support/versions.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const list = modelList.parse(JSON.parse(read('schemas/models/catalogue.json')));
const folder = mkdtempSync(join(tmpdir(), 'drover-models-'));

before(ensureTools);
after(() => rmSync(folder, { recursive: true }));

test('the files that follow from the list of models are those that are committed', () => {
  for (const [path, content] of modelFiles(list))
    assert.ok(read(path) === content, `${path} is old: run npm run deploy:generate`);
});

test('what is called measured is true of the file', async () => {
  const { model } = await ensureLlama((line) => console.error(line));
  const measured = list.models.filter(({ figures }) => figures.how === 'measured');
  assert.deepEqual(
    measured.map(({ file }) => file.name),
    [basename(model)],
  );
  const bytes = readFileSync(model);
  assert.equal(measured[0]?.file.bytes, bytes.length);
  assert.equal(measured[0]?.file.sha256, createHash('sha256').update(bytes).digest('hex'));
});

test('a file without a hash is fetched only when somebody has said so', async () => {
  const chart = join(folder, 'llm-server');
  await must('cp', ['-r', join(chartsDir, 'llm-server'), chart]);
  const [first] = list.models;
  const unverified = { ...list, models: [{ ...first, file: { ...first?.file, sha256: undefined } }] };
  writeFileSync(join(chart, 'files/catalogue.json'), JSON.stringify(unverified));
  const digest = `sha256:${'a'.repeat(64)}`;
  const args = [
    'template',
    'x',
    chart,
    '--kube-version',
    kubernetes,
    '--set',
    `cluster=a,image.agent.digest=${digest},image.llama.digest=${digest}`,
  ];
  const refused = await run(tools.helm, args);
  assert.ok(!refused.ok && refused.output.includes('has no sha256'), refused.output);
  assert.ok((await run(tools.helm, [...args, '--set', 'allowUnverified=true'])).ok);
});

test('the memory that a pod asks for is the one in docs/models.md, for every model', async () => {
  const plain = variants.find(({ name }) => name === 'llm-server aws prod') ?? assert.fail();
  for (const model of list.models) {
    const args = [...plain.args, '--set', `model=${model.name},slots=4,contextTokensPerSlot=2048`];
    const deployment = resourcesOf(await render({ ...plain, args })).find(
      ({ kind }) => kind === 'Deployment',
    );
    const llama = Object(deployment?.spec).template.spec.initContainers.find(
      ({ name }: { name: string }) => name === 'llama',
    );
    assert.equal(llama.resources.requests.memory, `${memoryMib(model, 8192)}Mi`, model.name);
  }
});

test('every flag that the charts and compose.yaml hand llama-server is in the argument table of the real one', async () => {
  // The wheel carries llama.cpp's own server, argument table included; its flags are strings in the library.
  await ensureLlama((line) => console.error(line));
  const lib = join(projectRoot, '.drover/venv/lib');
  const packages = readdirSync(lib).map((python) => join(lib, python, 'site-packages/xllamacpp'));
  const found = packages.flatMap((path) =>
    existsSync(path) ? readdirSync(path).map((file) => join(path, file)) : [],
  );
  const library = readFileSync(
    found.find((path) => path.endsWith('.so')) ?? assert.fail('no library'),
  ).toString('latin1');
  const known = (flag: string) => library.includes(`\0${flag}\0`);
  assert.ok(!known('--no-such-flag'));
  const flags = new Set<string>();
  for (const variant of variants.filter(({ chart }) => chart === 'llm-server'))
    for (const { kind, spec } of resourcesOf(await render(variant)))
      if (kind === 'Deployment')
        // A provider's agent has no llama.cpp beside it.
        for (const { name, args } of Object(spec).template.spec.initContainers ?? [])
          if (name === 'llama') for (const arg of args) if (/^--[a-z]/.test(arg)) flags.add(arg);
  const { services } = parse(read('compose.yaml'), { merge: true });
  for (const arg of services['llama-one'].command) if (/^--[a-z]/.test(arg)) flags.add(arg);
  assert.ok(flags.has('--metrics') && flags.has('--n-gpu-layers') && flags.size >= 11, [...flags].join());
  for (const flag of flags) assert.ok(known(flag), `llama-server has no ${flag}`);
});

/** The script of the chart, against a server that behaves as told. */
const content = Buffer.from('a model, or what stands for one '.repeat(4_000));
const sha256 = createHash('sha256').update(content).digest('hex');

type Behaviour = 'good' | 'breaks-once' | 'no-ranges' | 'missing';

async function fetchModel(behaviour: Behaviour, env: Record<string, string>) {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    if (behaviour === 'missing') return void response.writeHead(404).end();
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const from = behaviour === 'no-ranges' ? 0 : start;
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': content.length - from });
    if (behaviour !== 'good' && requests === 1) {
      response.write(content.subarray(0, 50_000), () => response.destroy());
      return;
    }
    response.end(content.subarray(from));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address && typeof address === 'object' ? address.port : assert.fail();
  const place = mkdtempSync(join(folder, 'cache-'));
  const result = await run(process.execPath, [join(chartsDir, 'llm-server/files/fetch-model.mjs')], {
    env: {
      ...process.env,
      MODEL_URI: `http://127.0.0.1:${port}/m`,
      MODEL_FILE: join(place, 'm.gguf'),
      MODEL_BACKOFF: '0.01',
      ...env,
    },
  });
  server.close();
  return { ...result, requests, files: readdirSync(place), place };
}

test('a model is fetched, compared and given its name', async () => {
  const { ok, files, place, output } = await fetchModel('good', {
    MODEL_SHA256: sha256,
    MODEL_BYTES: String(content.length),
  });
  assert.ok(ok, output);
  assert.deepEqual(files, ['m.gguf']);
  assert.deepEqual(readFileSync(join(place, 'm.gguf')), content);
});

test('a transfer that breaks off goes on where it was, or begins again when the server knows no ranges', async () => {
  for (const behaviour of ['breaks-once', 'no-ranges'] as const) {
    const { ok, requests, place, output } = await fetchModel(behaviour, { MODEL_SHA256: sha256 });
    assert.ok(ok, output);
    assert.equal(requests, 2);
    assert.deepEqual(readFileSync(join(place, 'm.gguf')), content);
  }
});

test('another file than the one that was meant is not kept', async () => {
  for (const env of [{ MODEL_SHA256: '0'.repeat(64) }, { MODEL_SHA256: sha256, MODEL_BYTES: '7' }]) {
    const { ok, files, output } = await fetchModel('good', env);
    assert.ok(!ok && /SHA-256|bytes/.test(output), output);
    assert.deepEqual(files, []);
  }
});

test('a model that is not there is given up after the tries that were granted', async () => {
  const { ok, requests, files } = await fetchModel('missing', { MODEL_SHA256: sha256, MODEL_TRIES: '2' });
  assert.deepEqual([ok, requests, files], [false, 2, []]);
});

test('a model that is there already is compared and not fetched again', async () => {
  const place = mkdtempSync(join(folder, 'present-'));
  writeFileSync(join(place, 'm.gguf'), content);
  const { ok, requests } = await fetchModel('good', {
    MODEL_FILE: join(place, 'm.gguf'),
    MODEL_SHA256: sha256,
  });
  assert.deepEqual([ok, requests], [true, 0]);
});
