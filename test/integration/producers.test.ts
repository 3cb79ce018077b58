import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { connectProducer, type Producer } from '@drover/client';
import { z } from 'zod';
import { localClusters, localTenant } from '../../infra/local/src/clusters.ts';
import { onPath, stateDir } from '../../infra/local/src/parts.ts';
import { exampleIn } from '../support/doc-examples.ts';
import { replyText, template } from '../support/fake-llama-text.ts';
import { ensureNatsCli } from '../support/nats-cli.ts';
import { ensureTestPython } from '../support/python-venv.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const document = 'docs/producers.md';
const clusters = localClusters.slice(0, 2);
const tokens = 60;

let system: TestSystem;
let producer: Producer;
let folder: string;
before(async () => {
  system = await startTestSystem({ clusters, fakeFlags: () => ['--token-ms', '20'], restart: true });
  producer = await connect();
  // Inside the project, so that the TypeScript example finds the packages it names.
  mkdirSync(stateDir, { recursive: true });
  folder = mkdtempSync(join(stateDir, 'examples-'));
});
after(async () => {
  await producer?.close();
  await system?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

const nkeyFile = (): string => system.credential(`producer-${localTenant}`)?.nkeyFile ?? '';
const connect = () =>
  connectProducer({ url: system.natsUrl, tenant: localTenant, nkeyFile: nkeyFile(), model: 'default' });

/** Every token exactly once and in order: each carries its number. */
const wholeReply = (prompt: string, count = tokens) =>
  replyText(template([{ role: 'user', content: prompt }]), count);

const llamaSlots = z.array(z.object({ is_processing: z.boolean() }));

type Example = { readonly output: () => string; readonly child: ChildProcess; readonly ended: Promise<void> };

/** Runs an example of the document with a prompt, as its first line says. */
function startExample(file: string, command: readonly string[], prompt: string, path = ''): Example {
  const script = join(folder, file);
  writeFileSync(script, exampleIn(document, file));
  const [program = '', ...args] = command;
  const child = spawn(program, [...args, script, prompt], {
    env: {
      ...process.env,
      PATH: path === '' ? process.env.PATH : `${path}${delimiter}${process.env.PATH}`,
      NATS_URL: system.natsUrl,
      TENANT: localTenant,
      NATS_NKEY_FILE: nkeyFile(),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let problems = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    problems += data;
  });
  const ended = once(child, 'close').then(([code]) => assert.equal(code, 0, `${file}: ${problems}`));
  return { output: () => output, child, ended };
}

/** Kills the llama.cpp that is answering; it comes back by itself. Its agent hands the request over. */
async function killTheBusyOne(): Promise<void> {
  for (const { id } of clusters) {
    const slots = llamaSlots.parse(await (await fetch(`${system.llamaUrl(id)}/slots`)).json());
    if (!slots.some((slot) => slot.is_processing)) continue;
    await system.kill(`llama-${id}`);
    return;
  }
  assert.fail('nobody is answering');
}

async function checkExample(start: (prompt: string) => Example): Promise<void> {
  const calm = start('all is well');
  await calm.ended;
  assert.equal(calm.output(), wholeReply('all is well'));

  const moved = start('the backend dies in the middle');
  await once(moved.child.stdout ?? assert.fail(), 'data');
  await killTheBusyOne();
  await moved.ended;
  assert.equal(moved.output(), wholeReply('the backend dies in the middle'));
}

test('the TypeScript example prints every token once, although its backend dies', () =>
  checkExample((prompt) => startExample('ask.ts', [process.execPath], prompt)));

test('the Python example prints every token once, although its backend dies', async () => {
  const python = await ensureTestPython();
  await checkExample((prompt) => startExample('ask.py', [python], prompt));
});

// The first time, it builds the command line.
const patient = { timeout: 15 * 60_000 };

test('the nats example prints every token once, although its backend dies', patient, async () => {
  const nats = await ensureNatsCli();
  const missing = [nats === undefined && 'nats or go', onPath('jq') === undefined && 'jq'].filter(Boolean);
  if (nats === undefined || missing.length > 0) assert.fail(`not on the PATH: ${missing.join(', ')}`);
  await checkExample((prompt) => startExample('ask.sh', ['sh'], prompt, dirname(nats)));
});
