/**
 * Builds the images for real, starts each as the charts do (a root that cannot be written, nobody's rights, no network), then
 * starts compose.yaml from them and asks for an answer. Needs Docker, or Podman with Buildah and docker-compose, and root where
 * that needs it.
 *
 *   npm run test:images [-- --stand-in]
 *
 * `--stand-in` builds what stands in for the images of others (Node's, nats-server's, llama.cpp's) from Debian's packages and
 * the wheels of a local run: for a machine that reaches no registry of images.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { images } from '../../infra/src/spec.ts';
import { freePort, reaches } from '../support/nats-server.ts';
import { type Engine, findEngine } from './engine.ts';
import { buildStandIn, standInImage } from './stand-in.ts';

const { values } = parseArgs({ options: { 'stand-in': { type: 'boolean', default: false } } });
const say = (line: string) => console.log(line);
const image = (app: string) => `drover/${app}:compose`;

/** What each app cannot do without, besides an address of NATS. */
const required: Readonly<Record<string, readonly string[]>> = {
  ingress: ['API_KEYS_FILE=/given/api-keys.json'],
  prices: ['PRICES_PLAN_FILE=/given/prices-plan.json'],
  agent: ['CLUSTER=a', 'LLAMA_URL=http://127.0.0.1:9'],
};

/** How long the first answer may take: agents measure their llama.cpp before they take work. */
const askMaxMs = 180_000;

const folder = mkdtempSync(join(tmpdir(), 'drover-images-'));
const engine = await findEngine(folder);
try {
  say(`engine: ${engine.name}${values['stand-in'] ? ', on a stand-in for the images of others' : ''}`);
  if (values['stand-in']) await buildStandIn(engine, folder, say);
  for (const app of images) await build(app);
  for (const app of images) await startAlone(app);
  await compose();
  say('images: all built, started and answered');
} finally {
  engine.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function must(result: ReturnType<Engine['run']>, what: string): Promise<string> {
  const { ok, output } = await result;
  assert.ok(ok, `${what}:\n${output.slice(-3000)}`);
  return output.trim();
}

async function build(app: string): Promise<void> {
  const started = Date.now();
  const base = values['stand-in'] ? ['--build-arg', `NODE_IMAGE=${standInImage}`] : [];
  const file = join(projectRoot, 'apps', app, 'Dockerfile');
  await must(engine.build([...base, '-t', image(app), '-f', file, projectRoot]), `build of ${app}`);
  const size = await must(engine.run(['image', 'inspect', '--format', '{{.Size}}', image(app)]), 'inspect');
  say(
    `${app}: built in ${((Date.now() - started) / 1000).toFixed(1)} s, ${Math.round(Number(size) / 1e6)} MB`,
  );
}

/** Runs the image without a network and without a root that can be written: alive, not ready, and not root. */
async function startAlone(app: string): Promise<void> {
  const given = join(projectRoot, 'infra/local/compose');
  const env = ['NATS_URL=nats://127.0.0.1:4222', 'METRICS_PORT=9999', ...(required[app] ?? [])];
  const hardened = ['--read-only', '--network', 'none', '--cap-drop', 'ALL'];
  const id = await must(
    engine.run([
      'run',
      '--detach',
      ...hardened,
      ...['--security-opt', 'no-new-privileges', '--volume', `${given}:/given:ro`],
      ...env.flatMap((entry) => ['--env', entry]),
      image(app),
    ]),
    `start of ${app}`,
  );
  const inside = (script: string) => engine.run(['exec', id, 'node', '-e', script]);
  try {
    const probe = `Promise.all(['livez','readyz'].map((path) => fetch('http://127.0.0.1:9999/' + path).then((r) => r.status))).then((s) => console.log(s.join()))`;
    let seen = '';
    for (let left = 50; left > 0 && !seen.includes('200,503'); left -= 1) {
      seen = (await inside(probe)).output;
      await delay(200);
    }
    assert.match(seen, /200,503/, `${app} without NATS: ${seen}`);
    const who = await must(
      inside(
        `let c; try { require('fs').writeFileSync('/app/x', '') } catch (e) { c = e.code } console.log(process.getuid(), c)`,
      ),
      'who',
    );
    assert.match(who, /^10001 EROFS$/m, app);
    say(`${app}: alive without a network, not ready, user 10001, root cannot be written`);
  } finally {
    await engine.run(['rm', '--force', id]);
  }
}

/** The whole system from compose.yaml: one streamed answer, and a look at who gave it. */
async function compose(): Promise<void> {
  const port = await freePort();
  const files = ['compose.yaml', ...(values['stand-in'] ? ['test/images/compose.stand-in.yaml'] : [])];
  const env = join(folder, 'compose.env');
  writeFileSync(env, `DROVER_PORT=${port}\n`);
  const project = [
    '--project-name',
    `drover-test-${port}`,
    '--env-file',
    env,
    '--project-directory',
    projectRoot,
  ];
  const all = [...project, ...files.flatMap((file) => ['--file', join(projectRoot, file)])];
  try {
    await must(engine.compose([...all, 'up', '--detach', '--no-build'], 300_000), 'compose up');
    const started = Date.now();
    const answer = await ask(port);
    assert.match(answer, /data: \[DONE\]\s*$/, answer.slice(-500));
    say(
      `compose: the streamed answer was complete ${((Date.now() - started) / 1000).toFixed(1)} s after the start`,
    );
  } catch (error) {
    say((await engine.compose([...all, 'logs', '--tail', '30'])).output.slice(-6000));
    throw error;
  } finally {
    await engine.compose([...all, 'down', '--volumes', '--timeout', '5'], 120_000);
    await mustBeFree(port);
  }
}

/** An engine that is ended too early leaves rules behind that lead a port to a container that is gone, whoever listens there. */
async function mustBeFree(port: number): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  try {
    for (let left = 10; left > 0; left -= 1) if (await reaches(port)) return;
    throw new Error(
      `port ${port} still leads to a container that is gone: see the NAT rules of this machine`,
    );
  } finally {
    server.close();
  }
}

async function ask(port: number): Promise<string> {
  const key = /`(drover-compose)`/.exec(readFileSync(join(projectRoot, 'compose.yaml'), 'utf8'))?.[1];
  const body = {
    model: 'smollm2',
    stream: true,
    max_tokens: 16,
    messages: [{ role: 'user', content: 'Hello' }],
  };
  let last = '';
  const until = Date.now() + askMaxMs;
  while (Date.now() < until) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(until - Date.now()),
      });
      last = await response.text();
      if (response.ok) return last;
    } catch (error) {
      last = String(error);
    }
    await delay(1000);
  }
  return last;
}
