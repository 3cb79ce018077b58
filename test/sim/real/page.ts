import { cpus } from 'node:os';
import { goal } from './compare.ts';
import { clusters, driven, lingerMs, outputs, parts, slots, words } from './setting.ts';

/** The page with the figures of one run. */
export function pageOf(table: string, requests: number, seconds: number): string {
  const shares = parts.map((part) => `${part.share * 100} % for ${part.seconds} s`).join(', ');
  return `# Does the fleet simulator say what happens?

Written by \`npm run sim:real\` (about five minutes; it wants a machine that does nothing else). It exits with 1 when the
median time to first token, the cost of the nodes or the settled cost differ by more than ${goal * 100} % of the real figure.

${new Date().toISOString().slice(0, 16)}Z, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.version}; ${requests} requests in ${seconds} s.

${table}

## What is compared

- **Real**: nats-server, scheduler, ingress, agents and three llama.cpp (SmolLM2-135M, ${slots} slots and one thread each), each a
  process of its own, started as \`npm start\` does it, with the local autoscaler that starts and stops llama.cpp. Requests
  come over HTTP, streamed. Node cost is price × time from the start of a node's processes until they are gone, within the
  load; settled cost is what \`GET /v1/costs\` says more than before.
- **Simulated**: the fleet simulator of the [study](policies.md), which runs the scheduler's own planner, decision and
  wake-and-sleep rule, given the same arrivals with the sizes of their prompts and answers, the same policy and prices.
- **Load**: Poisson arrivals from a seed: ${shares} of what all three can do together; ${words.join(' to ')} words, ${outputs.join(' to ')} tokens
  of output, drawn evenly. No two prompts begin alike. Prices: ${clusters.map(({ id, usdPerHour }) => `${id} $${usdPerHour}/h`).join(', ')}.

## What the simulator is given

Only what is measured before the load, without it: how fast one llama.cpp reads a prompt and writes, by how many of the three are
at work and by its replies (all of them share this machine's processors, and with the other processes of the system, which
is why the calibration goes through the whole system); the time around a prompt; the time that a node takes to start; what the
agents said of their own speed when the load began. Nothing is fitted to what the load showed.

Modelled for this comparison, beyond the study:

- **One machine**: a node's speed depends on how many nodes are at work at that moment.
- **Prompts first**: a llama.cpp that reads a prompt writes nothing meanwhile.
- **Agents' own figures**: the scheduler decides on what an agent would have measured, fading as in the agent.
- **The local autoscaler**: a node that is not wanted any more goes on taking jobs until it has had none for ${lingerMs / 1_000} s.

Not modelled: the work of starting a node, which slows the others for some seconds; batches that mix the end of one prompt with
the next; the delay of reports; anything else that runs on the machine.

The policy in both:

\`\`\`json
${JSON.stringify(driven)}
\`\`\`
`;
}
