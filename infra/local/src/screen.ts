import { relative } from 'node:path';
import { type LocalCluster, localTenant } from './clusters.ts';
import type { System } from './system.ts';

export type ScreenFacts = {
  readonly system: Pick<System, 'url' | 'natsUrl' | 'apiKey' | 'llamaUrl' | 'metricsUrl' | 'credential'>;
  readonly clusters: readonly LocalCluster[];
  /** USD per hour by cluster; one without a price is refused by the scheduler. */
  readonly prices: ReadonlyMap<string, number>;
  /** Clusters whose llama.cpp was started elsewhere: its slots and threads are not ours to tell. */
  readonly external: ReadonlySet<string>;
  readonly stateDir: string;
  readonly tookMs: number;
};

/** The one screen that a start ends with: what runs where, a line to paste, where to look, how to stop. */
export function renderScreen(facts: ScreenFacts): string {
  const { system, stateDir } = facts;
  const folder = [relative(process.cwd(), stateDir), stateDir].sort((a, b) => a.length - b.length)[0];
  const producer = system.credential(`producer-${localTenant}`);
  return `
Drover is up at ${system.url}  (started in ${(facts.tookMs / 1_000).toFixed(1)} s)

${indent(renderTable(['cluster', 'price $/h', 'slots', 'threads', 'llama.cpp', "agent's metrics"], rows(facts)))}

  scheduler and ingress   metrics at ${system.metricsUrl.scheduler}/metrics and ${system.metricsUrl.ingress}/metrics
  nats-server             ${system.natsUrl}${producer ? `, producers sign with ${folder}/keys/producer-${localTenant}.nk` : ''}

Paste this into another terminal:

${curlLine(system)}

Logs: ${folder}/logs/*.log    API key: ${folder}/api-key    Stop everything: Ctrl-C
`;
}

/** A request that streams, for a shell. */
export const curlLine = ({ url, apiKey }: Pick<System, 'url' | 'apiKey'>): string =>
  `curl -N ${url}/v1/chat/completions -H 'Authorization: Bearer ${apiKey}' -H 'Content-Type: application/json' ` +
  `-d '{"model": "smollm2", "stream": true, "temperature": 0, "max_tokens": 80, ` +
  `"messages": [{"role": "user", "content": "Why is the sky blue?"}]}'`;

const rows = ({ system, clusters, prices, external }: ScreenFacts): string[][] =>
  clusters.map(({ id, slots, threads }) => [
    id,
    prices.get(id)?.toFixed(4) ?? 'none',
    external.has(id) ? '?' : String(slots),
    external.has(id) ? '?' : String(threads),
    system.llamaUrl(id),
    `${system.metricsUrl.agent(id)}/metrics`,
  ]);

function renderTable(head: readonly string[], body: readonly (readonly string[])[]): string {
  const lines = [head, ...body];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const indent = (text: string): string => text.replaceAll(/^/gm, '  ');
