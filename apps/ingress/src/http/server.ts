import type { Logger, Nats } from '@drover/runtime';
import { catalogue, maxBodyBytes, policy, policyKeys } from '@drover/schemas';
import Fastify, { type FastifyInstance } from 'fastify';
import { nuid } from 'nats';
import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import { apiKeys, apiKeysFile } from '../core/api-keys.ts';
import { CostBook } from '../core/cost-book.ts';
import { type HmacKeys, hmacKeys, hmacKeysFile } from '../core/hmac.ts';
import { RateLimiter } from '../core/rate-limit.ts';
import { countSettled, createMetrics } from '../metrics.ts';
import { Budgets } from '../nats/budgets.ts';
import { followLedger } from '../nats/ledger.ts';
import { shareLimits } from '../nats/limits.ts';
import { followFleet } from '../nats/reports.ts';
import { followSetting } from '../nats/settings.ts';
import { watchFile } from '../watched-file.ts';
import { Authenticator } from './authenticate.ts';
import { costRoutes } from './costs.ts';
import { decisionRoutes } from './decisions.ts';
import { answerFailure, answerFailures, answerUnparsable } from './failures.ts';
import { generationRoutes } from './generate.ts';
import type { Ingress } from './ingress.ts';
import { lapseGraceMs, tellLimits } from './limits.ts';
import { modelRoutes } from './models.ts';
import { probeRoutes, readinessOf, statusOf } from './probes.ts';
import { acceptJson } from './raw-body.ts';
import { requestRoutes } from './requests.ts';

export type IngressServer = {
  /** Listens on HTTP_HOST:HTTP_PORT; resolves to the address. */
  listen(): Promise<string>;
  ready(): { ok: boolean; detail: string };
  /** What `/status` on METRICS_PORT says. */
  status(): object;
  /**
   * Takes no more requests, lets open answers finish for STOP_GRACE_MS, then cuts the rest off. Their requests are not
   * cancelled: they go on, and their clients can come back to them.
   */
  stop(): Promise<void>;
};

const maxHeaderBytes = 16 * 1024;
/** Longer than load balancers keep idle connections (60 s), so that it is never us who closes under a request. */
const idleConnectionMs = 75_000;

export function buildServer(parts: {
  nats: Nats;
  config: Config;
  log: Logger;
  registry: Registry;
}): IngressServer {
  const { nats, config, log, registry } = parts;
  const keys = watchFile(config.API_KEYS_FILE, apiKeysFile, apiKeys, log);
  const secrets =
    config.HMAC_KEYS_FILE === undefined
      ? { current: (): HmacKeys => new Map(), stop: () => {} }
      : watchFile(config.HMAC_KEYS_FILE, hmacKeysFile, hmacKeys, log);
  let draining = false;
  const metrics = createMetrics(registry);
  // A reservation stands until then; a request that ends later than it has no reservation that could be forgotten twice.
  const book = new CostBook(2 * (config.DEADLINE_MAX_MS + lapseGraceMs));
  const ledger = followLedger(nats, book, log, (record) => countSettled(metrics, record));
  const limiter = new RateLimiter();
  const sharing = shareLimits(nats, limiter);
  const ingress: Ingress = {
    nats,
    config,
    log,
    metrics,
    book,
    ledger,
    budgets: new Budgets({ nats, book, feed: ledger, log }),
    limiter,
    catalogue: followSetting(nats, policyKeys.models, catalogue, log),
    policy: followSetting(nats, policyKeys.active, policy, log),
    fleet: followFleet(nats, config.REPORT_STALE_MS),
    authenticator: new Authenticator(nats, keys.current, secrets.current),
    draining: () => draining,
  };
  const app = buildApp(ingress);

  return {
    listen: async () => {
      // Where there is a catalogue, the first request after a restart already finds it.
      await Promise.all([ingress.catalogue.tried, ingress.policy.tried]);
      return app.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
    },
    ready: () => {
      const { ready, clusters, missing } = readinessOf(ingress);
      return {
        ok: ready,
        detail: ready ? `ready: ${clusters.join(', ')}` : `missing: ${missing.join(', ')}`,
      };
    },
    status: () => statusOf(ingress, Date.now()),
    stop: async () => {
      draining = true;
      await stopListening(app, config.STOP_GRACE_MS);
      for (const part of [keys, secrets, ingress.catalogue, ingress.policy, ingress.fleet, ledger, sharing])
        part.stop();
    },
  };
}

function buildApp(ingress: Ingress): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    http: { maxHeaderSize: maxHeaderBytes },
    keepAliveTimeout: idleConnectionMs,
    genReqId: () => `req_${nuid.next()}`,
    // While it stops, requests on open connections are still answered, with `connection: close`.
    return503OnClosing: false,
    clientErrorHandler: answerUnparsable,
    frameworkErrors: (error, request, reply) => {
      answerFailure(error, request, reply, ingress);
    },
  });
  acceptJson(app);
  answerFailures(app, ingress);
  app.decorateRequest('arrivedAtMs', 0);
  app.decorateRequest('exchange', null);
  app.decorateRequest('tenant', null);
  app.decorateRequest('apiKey', null);
  app.decorateRequest('claim', null);
  app.addHook('onRequest', (request, _reply, next) => {
    request.arrivedAtMs = performance.now();
    next();
  });
  probeRoutes(app, ingress);
  app.register(
    async (v1) => {
      v1.addHook('onRequest', async (request, reply) => {
        ingress.authenticator.checkHeader(request);
        tellLimits(ingress, request, reply);
      });
      v1.addHook('preValidation', async (request) => ingress.authenticator.checkSignature(request));
      generationRoutes(v1, ingress);
      modelRoutes(v1, ingress);
      requestRoutes(v1, ingress);
      decisionRoutes(v1, ingress);
      costRoutes(v1, ingress);
    },
    { prefix: '/v1' },
  );
  return app;
}

async function stopListening(app: FastifyInstance, graceMs: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), graceMs);
  // Closes idle connections at once, and resolves when the last answer is written.
  await app.close();
  clearTimeout(cut);
}
