import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { catalogue, parseValue, policy, tariff } from '@drover/schemas';
import { parse } from 'yaml';
import { apiKeys, apiKeysFile, findApiKey } from '../../apps/ingress/src/core/api-keys.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { images } from '../../infra/src/spec.ts';
import { freePort } from '../support/nats-server.ts';
import { ensureTools, must, run, tools } from './support/tools.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'drover-images-'));

before(ensureTools);
after(() => rmSync(folder, { recursive: true, force: true }));

test('every image that the registries have a place for has a Dockerfile, and hadolint has nothing to say about it', async () => {
  const found = readdirSync(join(projectRoot, 'apps')).filter((app) =>
    existsSync(join(projectRoot, 'apps', app, 'Dockerfile')),
  );
  assert.deepEqual(found.sort(), [...images].sort());
  for (const app of found) await must(tools.hadolint, [join(projectRoot, 'apps', app, 'Dockerfile')]);
});

test('hadolint finds what must not be in an image', async () => {
  for (const fault of ['FROM node:latest', 'RUN cd /tmp && apt-get install curl', 'ADD . /app']) {
    const { ok } = await run(tools.hadolint, ['-'], {
      input: `FROM debian:12@sha256:${'a'.repeat(64)}\n${fault}\nUSER 1\n`,
    });
    assert.ok(!ok, fault);
  }
});

test('every image is built in stages on a base that is pinned by its digest, and runs as somebody without rights', () => {
  for (const app of images) {
    const text = read(`apps/${app}/Dockerfile`);
    assert.match(text, /^ARG NODE_IMAGE=node:24-[\w-]+@sha256:[0-9a-f]{64}$/m, app);
    assert.equal([...text.matchAll(/^FROM \$\{NODE_IMAGE\}/gm)].length, 2, app);
    assert.match(text, /^USER 10001:10001$/m, app);
    assert.doesNotMatch(text, /^(ADD|ENV .*(SECRET|TOKEN|KEY))/m, app);
  }
});

/** The instructions of a Dockerfile of ours; continued lines are one. */
const instructions = (app: string) =>
  read(`apps/${app}/Dockerfile`)
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line));

/** What .dockerignore keeps out of an image: everything installed here, tests, and what is only for tests. */
const left = (path: string) =>
  !/\/node_modules(\/|$)|\.test\.ts$|\/testing(\/|$)|\/fixtures(\/|$)/.test(path);

/** Carries out what the Dockerfile says, without Docker: its copies and its installation, in a folder. */
async function build(app: string): Promise<string> {
  const [first, second] = [join(folder, `${app}-install`), join(folder, app)];
  let stage = first;
  for (const line of instructions(app)) {
    const [word, ...rest] = line.split(' ');
    if (word === 'FROM' && existsSync(first)) stage = second;
    if (word === 'COPY') {
      const from = rest[0]?.startsWith('--from') ? first : projectRoot;
      const paths = rest.filter((part) => !part.startsWith('--')).map((part) => part.replace(/^\/app\//, ''));
      const to = paths.pop() ?? assert.fail();
      for (const path of paths) {
        const target =
          to.endsWith('/') || paths.length > 1
            ? join(stage, to, path.split('/').at(-1) ?? '')
            : join(stage, to);
        mkdirSync(dirname(target), { recursive: true });
        const source = join(from, path);
        cpSync(source, target, {
          recursive: true,
          verbatimSymlinks: true,
          filter: (entry) => from === first || left(entry.slice(source.length)),
        });
      }
    }
    const install = /npm ci [^&]*/.exec(line)?.[0];
    if (word === 'RUN' && install)
      await must('npm', install.trim().split(' ').slice(1), { cwd: stage, timeoutMs: 200_000 });
  }
  return second;
}

/** What each app cannot do without, besides an address of NATS. */
const required: Readonly<Record<string, Record<string, string>>> = {
  ingress: { API_KEYS_FILE: join(folder, 'api-keys.json'), HTTP_PORT: '0' },
  scheduler: {},
  agent: { CLUSTER: 'a', LLAMA_URL: 'http://127.0.0.1:9' },
  prices: { PRICES_PLAN_FILE: join(projectRoot, 'infra/local/compose/prices-plan.json') },
};

/** Starts the app with a NATS that nobody answers for: it must be alive, and not ready. */
async function livesWithout(place: string, app: string, args: readonly string[]): Promise<void> {
  writeFileSync(join(folder, 'api-keys.json'), '{ "v": 1, "keys": [] }');
  const [port, closed] = [await freePort(), await freePort()];
  const env = {
    PATH: process.env.PATH,
    NATS_URL: `nats://127.0.0.1:${closed}`,
    METRICS_PORT: String(port),
    ...required[app],
  };
  const child = spawn(process.execPath, args, { cwd: place, env, stdio: 'ignore' });
  try {
    const status = (path: string) =>
      fetch(`http://127.0.0.1:${port}${path}`).then(
        (answer) => answer.status,
        () => 0,
      );
    for (let left = 600; left > 0 && (await status('/livez')) === 0; left -= 1) await delay(100);
    assert.deepEqual([await status('/livez'), await status('/readyz')], [200, 503], app);
  } finally {
    child.kill('SIGKILL');
  }
}

for (const app of images)
  test(`the files of the image ${app} are enough to start it, and it is alive before NATS is there`, async () => {
    const place = await build(app);
    const command = JSON.parse(/^CMD (.*)$/m.exec(read(`apps/${app}/Dockerfile`))?.[1] ?? '[]');
    const env = { PATH: process.env.PATH, NODE_ENV: 'production' };
    // An empty environment: the process gets as far as to say everything that it lacks.
    const { ok, output } = await run(process.execPath, command.slice(1), { cwd: place, env });
    assert.ok(!ok && /config: NATS_URL/.test(output), output);
    assert.doesNotMatch(output, /ERR_MODULE|Cannot find/);
    await livesWithout(place, app, command.slice(1));
    const others = images.filter((other) => other !== app && existsSync(join(place, 'apps', other)));
    assert.deepEqual(others, [], 'an image holds another app');
    assert.ok(
      !existsSync(join(place, 'node_modules/typescript')),
      'development dependencies are in the image',
    );
  });

test('compose.yaml starts every app from its image, publishes the ingress on loopback only, and its data are valid', () => {
  const { services, configs } = parse(read('compose.yaml'), { merge: true });
  const built = new Set(
    Object.values<{ build?: { dockerfile: string } }>(services).flatMap(({ build: b }) =>
      b ? [b.dockerfile] : [],
    ),
  );
  assert.deepEqual([...built].sort(), images.map((app) => `apps/${app}/Dockerfile`).sort());
  const ports = Object.entries<{ ports?: string[] }>(services).flatMap(([name, { ports: p = [] }]) =>
    p.map((port) => `${name} ${port}`),
  );
  assert.equal(ports.length, 1);
  assert.match(ports[0] ?? '', /^ingress 127\.0\.0\.1:\$\{DROVER_PORT:-8080\}:8080$/);
  for (const { depends_on: needed = {}, volumes = [], configs: used = [] } of Object.values<
    Record<string, never>
  >(services)) {
    for (const name of Object.keys(needed)) assert.ok(name in services, name);
    for (const { source } of used as { source: string }[]) assert.ok(source in configs, source);
    for (const volume of volumes as string[])
      if (volume.startsWith('./'))
        assert.ok(existsSync(join(projectRoot, volume.split(':')[0] ?? '')), volume);
  }
  const config = (name: string) => JSON.parse(read(configs[name].file));
  assert.ok(parseValue(policy, config('policy')).ok);
  assert.ok(parseValue(catalogue, config('models')).ok);
  const prices = Object.entries(config('prices'));
  for (const [cluster, price] of prices) assert.ok(parseValue(tariff, price).ok, cluster);
  assert.deepEqual(prices.map(([cluster]) => cluster).join(), services.bootstrap.environment.CLUSTERS);
  const keys = apiKeys(apiKeysFile.parse(config('api-keys')));
  assert.equal(findApiKey(keys, 'drover-compose')?.tenant, 'local');
  const [model] = JSON.parse(read('schemas/models/catalogue.json')).models;
  assert.equal(services.model.environment.MODEL_SHA256, model.file.sha256);
  assert.equal(services.model.environment.MODEL_URI, model.file.uri);
});
