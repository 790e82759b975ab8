/** The id of a request, which logs, traces and the reply share. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { isAnthropicPath } from '../core/anthropic-error.ts';

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

/** The headers in which a reply has the id of its request: Anthropic's API has another name for it. */
export function requestIdHeaders({ id, url }: FastifyRequest): Record<string, string> {
  return { [requestIdHeader]: id, ...(isAnthropicPath(url) && { 'request-id': id }) };
}

/** Sends the request id with every reply, errors and streams included. */
export const requestId = fp(async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(requestIdHeaders(request));
  });
});
