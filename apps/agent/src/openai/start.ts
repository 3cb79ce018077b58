import { readFile } from 'node:fs/promises';
import type { Logger, Nats } from '@drover/runtime';
import type { Registry } from 'prom-client';
import type { ProviderConfig } from '../config.ts';
import { ProviderEngine } from './engine.ts';
import { ProviderHttp } from './http.ts';
import { createProviderMetrics } from './metrics.ts';
import { SpendingRecord } from './spending-record.ts';

/** The provider that the configuration names. Asks it nothing yet. */
export function providerEngine(
  config: ProviderConfig,
  parts: { readonly nats: Nats; readonly log: Logger; readonly agent: string; readonly registry: Registry },
): ProviderEngine {
  const budget = { day: config.OPENAI_BUDGET_USD_PER_DAY, month: config.OPENAI_BUDGET_USD_PER_MONTH };
  const { nats, log, agent, registry } = parts;
  return new ProviderEngine({
    http: new ProviderHttp({
      baseUrl: config.OPENAI_BASE_URL,
      key: keyOf(config),
      connectMs: config.OPENAI_CONNECT_MS,
      answerMs: config.OPENAI_TIMEOUT_MS,
    }),
    spending: new SpendingRecord({ nats, log, cluster: config.CLUSTER, writer: agent, budget }),
    metrics: createProviderMetrics(registry),
    baseUrl: config.OPENAI_BASE_URL,
    modelName: config.MODEL_NAME,
    model: {
      name: config.OPENAI_MODEL ?? config.MODEL_NAME,
      limitField: config.OPENAI_LIMIT_FIELD,
      outputTokensMax: config.OPENAI_OUTPUT_TOKENS_MAX ?? config.OPENAI_CONTEXT_TOKENS,
    },
    contextTokens: config.OPENAI_CONTEXT_TOKENS,
    endpoints: config.OPENAI_ENDPOINTS,
    slots: config.OPENAI_SLOTS,
    allowance: {
      requestsPerMinute: config.OPENAI_REQUESTS_PER_MINUTE,
      tokensPerMinute: config.OPENAI_TOKENS_PER_MINUTE,
      burst: config.OPENAI_BURST,
    },
    budget,
    healthIntervalMs: config.HEALTH_INTERVAL_MS,
    benchmark: config.BENCHMARK === 'on',
  });
}

/** The file is read each time: a key that was changed there counts from the next request on. */
function keyOf({ OPENAI_API_KEY_FILE: file, OPENAI_API_KEY: key }: ProviderConfig) {
  return async (): Promise<string | undefined> =>
    file === undefined ? key : (await readFile(file, 'utf8')).trim();
}
