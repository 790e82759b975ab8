import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import { type CorsOrigins, corsHeaders } from './cors.ts';
import { lingerAfterReply } from './linger.ts';
import { requestIdHeader } from './request-id.ts';
import { beginTrace } from './request-trace.ts';

/** What Fastify calls its own refusals, in our words. */
const codeOfFastifyError: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_BAD_URL: 'bad_request',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
};

/** Answers anything that is thrown with OpenAI's error body and writes one log line about it. */
export function addErrorHandler(app: FastifyInstance): void {
  app.setErrorHandler(replyWithError);
}

/**
 * Fastify's `frameworkErrors`: failures before a route is chosen, where no hook runs.
 * @see https://fastify.dev/docs/latest/Reference/Server/#frameworkerrors
 */
export function frameworkErrorHandler(origins: CorsOrigins) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    beginTrace(request, reply);
    reply.header(requestIdHeader, request.id);
    reply.headers(Object.fromEntries(corsHeaders(origins, request.headers.origin)));
    replyWithError(thrown, request, reply);
  };
}

function replyWithError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toGatewayError(thrown, request);
  request.trace.failure ??= error.code;
  logFailure(error, request);
  // Fastify has the connection closed behind it, while most of the body is still to come.
  if (error.code === 'payload_too_large') lingerAfterReply(request.raw.socket);
  if (error.status === 401) reply.header('www-authenticate', 'Bearer');
  reply.headers(retryHeaders(error));
  reply.code(error.status).type('application/json').send(error.toBody());
}

/**
 * What OpenAI's clients go by: whether to try again, and when. The milliseconds, which they prefer, are
 * spread out, so that those who were refused together do not come back together.
 */
function retryHeaders({ retryAfterSeconds, shouldRetry }: GatewayError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (shouldRetry !== undefined) headers['x-should-retry'] = String(shouldRetry);
  if (retryAfterSeconds !== undefined) {
    headers['retry-after'] = String(retryAfterSeconds);
    const spreadMs = Math.random() * retryAfterSeconds * 500;
    headers['retry-after-ms'] = String(Math.round(retryAfterSeconds * 1000 + spreadMs));
  }
  return headers;
}

function toGatewayError(thrown: unknown, request: FastifyRequest): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  const known = typeof code === 'string' ? codeOfFastifyError[code] : undefined;
  if (known === 'payload_too_large') {
    const limitBytes = request.routeOptions.bodyLimit;
    return new GatewayError(known, {
      message: `The request body must be at most ${limitBytes} bytes.`,
      cause: thrown,
    });
  }
  if (known !== undefined) return new GatewayError(known, { cause: thrown });
  // Fastify marks a body that stopped arriving, and other faults of the client, with a 4xx.
  const clientFault = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500;
  return new GatewayError(clientFault ? 'bad_request' : 'internal_error', { cause: thrown });
}

/** The access log names refusals; messages are left out below 500: they may quote what the client sent. */
function logFailure(error: GatewayError, request: FastifyRequest): void {
  const fields = { status: error.status, code: error.code, param: error.param };
  if (error.status === 500) {
    request.log.error({ ...fields, err: error.cause ?? error }, 'request failed');
  } else {
    request.log.debug(fields, 'request refused');
  }
}
