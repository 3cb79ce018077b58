import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Digests, imageFiles } from './images.ts';

// node argocd/src/pin-images.ts <environment> <registry> <tag>: asks the registry for the digests of our images under this
// tag, and of llama.cpp's under the chart's, and writes them into the environment. Needs `docker buildx`.
const [environment, registry, tag] = process.argv.slice(2);
if (!environment || !registry || !tag) {
  process.stderr.write('usage: pin-images.ts <environment> <registry> <tag>\n');
  process.exit(78);
}

const digestOf = (image: string): string =>
  execFileSync('docker', ['buildx', 'imagetools', 'inspect', image, '--format', '{{.Manifest.Digest}}'], {
    encoding: 'utf8',
  }).trim();

const chart = fileURLToPath(new URL('../../charts/llm-server/values.yaml', import.meta.url));
const image = z.looseObject({ repository: z.string(), tag: z.string() });
const values = z
  .looseObject({ image: z.looseObject({ llama: image }), gpu: z.looseObject({ image }) })
  .parse(parse(readFileSync(chart, 'utf8')));
const named = ({ repository, tag }: z.infer<typeof image>) => `${repository}:${tag}`;

const digests: Digests = {
  ingress: digestOf(`${registry}/ingress:${tag}`),
  scheduler: digestOf(`${registry}/scheduler:${tag}`),
  prices: digestOf(`${registry}/prices:${tag}`),
  agent: digestOf(`${registry}/agent:${tag}`),
  llama: digestOf(named(values.image.llama)),
  llamaGpu: digestOf(named(values.gpu.image)),
};
for (const [file, content] of imageFiles(digests))
  writeFileSync(new URL(`../environments/${environment}/${file}`, import.meta.url), content);
