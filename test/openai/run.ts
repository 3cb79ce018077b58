import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { contextTokens, localModel } from '../../infra/local/src/clusters.ts';
import { startTestSystem } from '../support/system.ts';
import { ensureSuite, type Suite, suiteKey } from './suite.ts';

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
const stateDir = mkdtempSync(join(tmpdir(), 'drover-openai-'));
writeFileSync(join(stateDir, 'api-key'), `${suiteKey}\n`, { mode: 0o600 });
try {
  process.exitCode = await runAgainstSystem(suite);
} finally {
  rmSync(stateDir, { recursive: true, force: true });
}

async function runAgainstSystem({ command: [file = '', ...args], cwd, models }: Suite): Promise<number> {
  await using system = await startTestSystem({
    stateDir,
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
    say,
  });
  const pytest = spawn(file, args, {
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, TEST_API_BASE_URL: `${system.url}/v1` },
  });
  const [code] = await once(pytest, 'exit');
  return typeof code === 'number' ? code : 1;
}
