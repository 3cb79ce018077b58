import { z } from 'zod';

const digest = z.string().regex(/^(sha256:[0-9a-f]{64})?$/, 'use a digest, sha256:…');

/** Digests of everything that an environment runs of ours and of llama.cpp; empty until the pipeline has published one. */
export const digests = z.strictObject({
  ingress: digest,
  scheduler: digest,
  prices: digest,
  agent: digest,
  llama: digest,
  llamaGpu: digest,
});
export type Digests = z.infer<typeof digests>;

/** The files of values that carry the digests into the charts, by name. @throws when one is not a digest */
export function imageFiles(given: Digests): Map<string, string> {
  const { ingress, scheduler, prices, agent, llama, llamaGpu } = digests.parse(given);
  return new Map([
    [
      'images-router.yaml',
      `# Written by the pipeline when it has published images.
image:
  ingress: { digest: "${ingress}" }
  scheduler: { digest: "${scheduler}" }
  prices: { digest: "${prices}" }
`,
    ],
    [
      'images-llm-server.yaml',
      `# Written by the pipeline when it has published images.
image:
  agent: { digest: "${agent}" }
  llama: { digest: "${llama}" }
gpu:
  image: { digest: "${llamaGpu}" }
`,
    ],
  ]);
}
