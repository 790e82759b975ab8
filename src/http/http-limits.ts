/** Limits of connections and of a request's head. */
import type { ServerOptions } from 'node:http';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { HttpLimits } from '../config/config.ts';
import { GatewayError } from '../core/errors.ts';

/** The bytes of all headers together, unless one line may be longer. */
const headBytes = 65_536;

/** How far a request may exceed its deadline, in milliseconds. */
const checkIntervalMs = 1000;

/** Milliseconds between two log lines about refused connections. */
const dropLogIntervalMs = 60_000;

/** The limits that Node checks itself, before there is a request. */
export function nodeLimits(limits: HttpLimits): ServerOptions {
  const { requestLineBytes, headerLineBytes, headerTimeoutMs } = limits;
  return {
    maxHeaderSize: Math.max(headBytes, requestLineBytes + headerLineBytes),
    headersTimeout: headerTimeoutMs,
    requestTimeout: requestTimeoutOf(limits),
    connectionsCheckingInterval: Math.min(checkIntervalMs, Math.ceil(headerTimeoutMs / 4)),
    // The hook below checks it and answers with a body.
    requireHostHeader: false,
  };
}

/** Milliseconds for a whole request. */
export function requestTimeoutOf({ headerTimeoutMs }: HttpLimits): number {
  return 2 * headerTimeoutMs;
}

export interface HttpLimitsOptions {
  readonly limits: HttpLimits;
}

/** Checks what Node does not: each line by itself, the number of headers, and heads that can be read in two ways. */
export const httpLimits = fp<HttpLimitsOptions>(async (app, { limits }) => {
  app.server.maxConnections = limits.connectionCount;
  // Node drops headers beyond the limit: one header more shows that there were more.
  app.server.maxHeadersCount = limits.headerCount + 1;
  logDroppedConnections(app, limits);

  app.addHook('onRequest', async ({ raw }) => {
    const { method = '', url = '', httpVersion, rawHeaders } = raw;
    const lineBytes = `${method} ${url} HTTP/${httpVersion}\r\n`.length;
    if (lineBytes > limits.requestLineBytes) throw requestLineTooLong(limits);
    if (rawHeaders.length / 2 > limits.headerCount) {
      throw new GatewayError('header_fields_too_large', {
        message: `A request may have at most ${limits.headerCount} headers.`,
      });
    }
    let hostCount = 0;
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
      if (name.length + ': '.length + value.length + '\r\n'.length > limits.headerLineBytes) {
        throw new GatewayError('header_fields_too_large', {
          message: `A header line may have at most ${limits.headerLineBytes} bytes.`,
        });
      }
      if (name.toLowerCase() === 'host') hostCount += 1;
    }
    if (hostCount > 1 || (hostCount === 0 && httpVersion === '1.1')) {
      throw new GatewayError('bad_request', {
        message: `A request must have one \`Host\` header, received ${hostCount}.`,
      });
    }
  });
});

/** Names the configured limit, also where Node's own limit refused first. */
export function requestLineTooLong({ requestLineBytes }: HttpLimits): GatewayError {
  return new GatewayError('uri_too_long', {
    message: `The request line may have at most ${requestLineBytes} bytes.`,
  });
}

function logDroppedConnections(app: FastifyInstance, { connectionCount }: HttpLimits): void {
  let droppedCount = 0;
  let loggedMs = Number.NEGATIVE_INFINITY;
  app.server.on('drop', () => {
    droppedCount += 1;
    if (performance.now() - loggedMs < dropLogIntervalMs) return;
    loggedMs = performance.now();
    app.log.warn({ connectionCount, droppedCount }, 'connections refused: too many are open');
    droppedCount = 0;
  });
}
