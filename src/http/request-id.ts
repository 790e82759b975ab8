/** The id of a request, which logs, traces and the reply share. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';

export const requestIdHeader = 'x-request-id';

/** Printable ASCII without spaces: safe in a header, in a log line and in a terminal. */
const acceptableId = /^[\x21-\x7e]{1,128}$/;

/** The client's own request id if it is acceptable, else a new one. */
export function chooseRequestId(raw: IncomingMessage): string {
  const proposed = raw.headers[requestIdHeader];
  return typeof proposed === 'string' && acceptableId.test(proposed) ? proposed : newRequestId();
}

/** An id for a request without an acceptable one. */
export function newRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`;
}

/** Sends the request id with every reply, errors and streams included. */
export const requestId = fp(async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    reply.header(requestIdHeader, request.id);
  });
});
