import { buckets, parseValue, type Tariff, tariff } from '@drover/schemas';
import { command, readNumber, readSpan } from '../command.ts';
import { usd } from '../core/words.ts';
import { CliError } from '../errors.ts';
import { existingCluster } from '../nats/clusters.ts';
import { putKey, readKeys, revisionOf } from '../nats/keys.ts';

/**
 * Sets what a node of a cluster costs. What is not named stays as it was, but for the lifetime: without one the price holds
 * for good. Feeders of prices leave it alone until it lapses (docs/costs.md).
 */
export const priceSet = command({
  name: 'price set',
  usage:
    '<cluster> --usd-per-hour <n> [--for 90s|15m|24h|7d] [--market spot|on-demand] [--overhead-factor <n>] [--source <text>] [--json]',
  summary: 'what a node of a cluster costs; counts from the next decision on',
  options: {
    json: { type: 'boolean' },
    'usd-per-hour': { type: 'string' },
    for: { type: 'string' },
    market: { type: 'string' },
    'overhead-factor': { type: 'string' },
    source: { type: 'string' },
  },
  positionals: [1, 1],
  run: async ({ values, positionals }, { io, connect, by }) => {
    const price = values['usd-per-hour'];
    if (price === undefined) throw new CliError('usage', '--usd-per-hour is missing');
    const usdPerHour = readNumber('--usd-per-hour', price);
    const factor = values['overhead-factor'];
    const validForMs = values.for === undefined ? undefined : readSpan('--for', values.for);
    const nats = await connect();
    const cluster = await existingCluster(nats, positionals[0] ?? '');
    const revision = await revisionOf(nats, buckets.prices.name, cluster);
    const [before] = await readKeys(nats, buckets.prices.name, cluster, tariff);
    // The lifetime was that of another figure.
    const { validForMs: _, ...rest } = before?.value ?? { v: 1, market: 'on-demand' as const };
    const parsed = parseValue<Tariff>(tariff, {
      ...rest,
      ...(validForMs === undefined ? {} : { validForMs }),
      usdPerHour,
      ...(values.market === undefined ? {} : { market: values.market }),
      ...(factor === undefined ? {} : { overheadFactor: readNumber('--overhead-factor', factor, 1) }),
      source: values.source ?? `set by ${by}`,
      asOf: new Date().toISOString(),
    });
    if (!parsed.ok) throw new CliError('usage', parsed.problem);
    const written = await putKey(nats, buckets.prices.name, cluster, parsed.value, { revision, by });
    if (values.json) io.out(JSON.stringify({ cluster, revision: written, tariff: parsed.value }));
    else
      io.out(
        `${cluster}: ${before ? `${usd(before.value.usdPerHour)}/h → ` : ''}${usd(usdPerHour)}/h (${parsed.value.market})`,
      );
  },
});
