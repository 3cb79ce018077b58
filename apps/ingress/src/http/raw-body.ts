import type { FastifyInstance, FastifyRequest } from 'fastify';

const none = new Uint8Array();

/** Keeps JSON bodies as they were sent: a signature and a hash are over these very bytes. Other types are refused. */
export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
}

/** The body as it was sent; empty when there was none. */
export const rawBody = (request: FastifyRequest): Uint8Array =>
  Buffer.isBuffer(request.body) ? request.body : none;
