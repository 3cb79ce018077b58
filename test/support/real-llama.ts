import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { LlamaHttp } from '../../apps/agent/src/llama/http.ts';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { ensureLlama } from '../../infra/local/src/parts.ts';
import { llamaCommand } from '../../infra/local/src/plan.ts';
import { eventually } from './ingress.ts';
import { freePort } from './nats-server.ts';

export type RealLlama = { readonly url: string; readonly http: LlamaHttp; stop(): Promise<void> };

/** The real llama.cpp as the first cluster of a local run has it, on a free port. Resolves when it answers. */
export async function startRealLlama(): Promise<RealLlama> {
  const [cluster] = localClusters;
  assert.ok(cluster);
  const port = await freePort();
  const [program = '', ...args] = llamaCommand(await ensureLlama(() => {}), cluster, port);
  const llama = spawn(program, args, { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  try {
    await eventually(async () => (await fetch(`${url}/health`).catch(() => undefined))?.ok === true, 60_000);
  } catch (error) {
    llama.kill();
    throw error;
  }
  const http = new LlamaHttp(url);
  return {
    url,
    http,
    stop: async () => {
      await http.close();
      llama.kill();
    },
  };
}
