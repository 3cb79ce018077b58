import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ensureParts, onPath, projectRoot } from '../../infra/local/src/parts.ts';
import type { Engine } from './engine.ts';

const run = promisify(execFile);

export const standInImage = 'localhost/drover-stand-in';

/**
 * Builds one image of Debian's packages, Node's and npm's own files, and the wheels of a local run, to stand in for those that
 * our images and compose.yaml name. Needs `mmdebstrap`. Certificates are this machine's, for a network with a proxy of its own.
 */
export async function buildStandIn(engine: Engine, folder: string, say: (line: string) => void) {
  const parts = await ensureParts(say);
  const context = join(folder, 'stand-in');
  mkdirSync(context, { recursive: true });
  const root = ['--variant=minbase', '--include=ca-certificates,curl,wget,python3,libgomp1', 'bookworm'];
  await run('mmdebstrap', [...root, join(context, 'root.tar')], { maxBuffer: 16 * 1024 * 1024 });
  const npm = onPath('npm') ?? '';
  const lib = join(projectRoot, '.drover/venv/lib');
  const python = readdirSync(lib)[0] ?? '';
  const copies = {
    node: process.execPath,
    npm: dirname(dirname(realpathSync(npm))),
    'nats-server': parts.natsServer,
    'site-packages': join(lib, python, 'site-packages'),
    'llama_server.py': join(projectRoot, 'infra/local/llama_server.py'),
    'model.gguf': parts.model,
    'ca-certificates.crt': '/etc/ssl/certs/ca-certificates.crt',
  };
  for (const [name, from] of Object.entries(copies))
    cpSync(from, join(context, name), { recursive: true, dereference: true });
  const dockerfile = join(projectRoot, 'test/images/stand-in.Dockerfile');
  const { ok, output } = await engine.build(['-t', standInImage, '-f', dockerfile, context]);
  if (!ok) throw new Error(`the stand-in was not built:\n${output.slice(-2000)}`);
}
