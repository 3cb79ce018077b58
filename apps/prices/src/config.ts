import { readFileSync } from 'node:fs';
import { commonEnv, port, readEnv } from '@drover/runtime';
import { type Parsed, parseValue } from '@drover/schemas';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Plan, plan } from './core/plan.ts';

const url = z.url({ protocol: /^https?$/ });

/** docs/configuration.md has every variable. */
export const pricesShape = {
  ...commonEnv,
  /** Which cluster's price comes from where: JSON or YAML, see core/plan.ts. */
  PRICES_PLAN_FILE: z.string().min(1),
  /** For the GCP billing catalogue; restrict it to the Cloud Billing API. */
  GCP_BILLING_API_KEY: z.string().min(1).optional(),
  AZURE_PRICES_URL: url.default('https://prices.azure.com'),
  GCP_BILLING_URL: url.default('https://cloudbilling.googleapis.com'),
  /** Instead of the region's own. */
  AWS_EC2_URL: url.optional(),
  METRICS_HOST: z.string().default('127.0.0.1'),
  METRICS_PORT: port.default(9094),
};

/** The only reader of the environment, except for AWS's own client, which finds its credentials itself. */
export const pricesConfig = (env: NodeJS.ProcessEnv) => readEnv(pricesShape, env);
export type PricesConfig = ReturnType<typeof pricesConfig>;

/** Reads and checks the plan. The problem names every fault. */
export function readPlan(file: string): Parsed<Plan> {
  try {
    const parsed = parseValue<Plan>(plan, parse(readFileSync(file, 'utf8')));
    return parsed.ok ? parsed : { ok: false, problem: `${file}: ${parsed.problem}` };
  } catch (error) {
    return { ok: false, problem: `${file}: ${error instanceof Error ? error.message : String(error)}` };
  }
}
