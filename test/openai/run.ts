import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { contextTokens, localModel } from '../../infra/local/src/clusters.ts';
import { startTestSystem } from '../support/system.ts';
import { ensureSuite, type Suite } from './suite.ts';

/** Runs the tests of OpenAI's own Python library against a whole Drover, and ends with pytest's exit code. */
const { values } = parseArgs({
  options: {
    /** No model: replies of test/support/fake-llama.ts. */
    fake: { type: 'boolean', default: false },
  },
});

const backend = values.fake ? 'fake' : 'llama';
const say = (line: string) => console.error(line);

const suite = await ensureSuite(say);
process.exitCode = await runAgainstSystem(suite);

async function runAgainstSystem({ command: [file = '', ...args], cwd, models }: Suite): Promise<number> {
  await using system = await startTestSystem({
    backend,
    models: {
      v: 1,
      models: [
        {
          name: localModel,
          aliases: [...models],
          endpoints: ['chat', 'completion', 'embedding'],
          contextTokens,
        },
      ],
    },
    // Most of the tests set no `max_tokens`: a small model then often talks until its context is full.
    env: { ingress: { API_KEYS_FILE: writeKeys(), DEADLINE_DEFAULT_MS: '600000' } },
    say,
  });
  const pytest = spawn(file, args, {
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      TEST_API_BASE_URL: `${system.url}/v1`,
    },
  });
  const [code] = await once(pytest, 'exit');
  return typeof code === 'number' ? code : 1;
}

/** A key file that accepts the key of the suite's own conftest. */
function writeKeys(): string {
  const file = join(mkdtempSync(join(tmpdir(), 'drover-openai-')), 'api-keys.json');
  const sha256 = createHash('sha256').update('My API Key').digest('hex');
  writeFileSync(file, JSON.stringify({ v: 1, keys: [{ id: 'openai-tests', tenant: 'local', sha256 }] }));
  return file;
}
