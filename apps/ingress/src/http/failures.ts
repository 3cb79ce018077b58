import type { Socket } from 'node:net';
import { DroverError, httpHeaders } from '@drover/schemas';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { envelope, errorHeaders, statusOf, toDroverError } from '../core/errors.ts';
import type { Ingress } from './ingress.ts';

/** The one place where a failure becomes an HTTP answer. */
export function answerFailures(app: FastifyInstance, ingress: Ingress): void {
  app.setErrorHandler((thrown, request, reply) => answerFailure(thrown, request, reply, ingress));
  app.setNotFoundHandler((request, reply) =>
    answerFailure(
      new DroverError('not_found', `There is no route ${request.method} ${pathOf(request)}.`),
      request,
      reply,
      ingress,
    ),
  );
}

export function answerFailure(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  ingress: Ingress,
) {
  const error = toDroverError(thrown);
  count(error, request, ingress);
  if (error.code === 'internal_error') {
    const stack = error.cause instanceof Error ? error.cause.stack : String(error.cause);
    ingress.log.error(
      { requestId: request.id, route: request.routeOptions.url, error: stack },
      'request failed',
    );
  }
  if (!reply.hasHeader(httpHeaders.requestId)) reply.header(httpHeaders.requestId, request.id);
  return reply
    .code(statusOf(error))
    .headers(errorHeaders(error))
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(envelope(error)));
}

/** What never got as far as an exchange: no key, too large, no such route. */
function count(error: DroverError, request: FastifyRequest, ingress: Ingress): void {
  if (request.exchange !== null) return;
  const endpoint = request.routeOptions.config?.endpoint ?? 'none';
  ingress.metrics.requests.inc({ endpoint, outcome: 'rejected', code: error.code, priority: 'none' });
}

const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '';

/** What Node's parser refuses never becomes a request; it is answered on the bare socket. */
export function answerUnparsable(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const failure =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new DroverError('headers_too_large', 'The headers are too large.')
      : new DroverError('invalid_request', 'This is not valid HTTP.');
  const body = JSON.stringify(envelope(failure));
  socket.end(
    `HTTP/1.1 ${statusOf(failure)} ${failure.code}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
