import type { LlamaConfig } from '../config.ts';
import { planCall } from '../core/call.ts';
import type { Engine } from '../engine.ts';
import { benchmark } from './benchmark.ts';
import { deferredRequests } from './deferred.ts';
import { describeBackend } from './describe.ts';
import { generate } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import type { Meter } from './meter.ts';
import { HealthWatch } from './watch.ts';

type Options = Pick<LlamaConfig, 'MODEL_NAME' | 'MODEL_SHA256' | 'HEALTH_INTERVAL_MS'>;

/** The llama.cpp beside this agent. It has slots and no other limit. */
export const llamaEngine = (http: LlamaHttp, meter: Meter, options: Options): Engine => ({
  name: 'llama.cpp',
  plan: planCall,
  generate: (generation) => generate(http, generation),
  watch: (onChange) => new HealthWatch(http, options.HEALTH_INTERVAL_MS, onChange),
  describe: () => describeBackend(http, { name: options.MODEL_NAME, sha256: options.MODEL_SHA256 }),
  measure: (backend) => benchmark(http, backend, meter),
  figures: (measured) => measured,
  slots: (total) => total,
  limit: () => undefined,
  deferred: () => deferredRequests(http),
  close: () => http.close(),
});
