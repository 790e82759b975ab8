/** Answers every thrown error with an error body in the form of the path's API, and writes one log line. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { anthropicStatusOf, isAnthropicPath, toAnthropicError } from '../core/anthropic-error.ts';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import { bodyTooLarge } from './body-type.ts';
import { corsHeaders } from './cors.ts';
import { lingerAfterReply } from './linger.ts';
import type { CorsOrigins } from './origins.ts';
import { requestIdHeaders } from './request-id.ts';
import { beginTrace } from './request-trace.ts';

/** Fastify's own refusals as codes of this API. */
const codeOfFastifyError: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_BAD_URL: 'bad_request',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
};

export const errorHandler = fp(async (app) => {
  app.setErrorHandler(replyWithError);
});

/**
 * Fastify's `frameworkErrors`: failures before a route is chosen, where no hook runs.
 * @see https://fastify.dev/docs/latest/Reference/Server/#frameworkerrors
 */
export function frameworkErrorHandler(origins: CorsOrigins) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    beginTrace(request, reply);
    reply.headers(requestIdHeaders(request));
    reply.headers(Object.fromEntries(corsHeaders(origins, request.headers.origin)));
    replyWithError(thrown, request, reply);
  };
}

function replyWithError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toGatewayError(thrown, request);
  request.trace.failure ??= error.code;
  logFailure(error, request);
  if (error.code === 'payload_too_large') {
    // Most of the body is still to arrive.
    reply.header('connection', 'close');
    lingerAfterReply(request.raw.socket);
  }
  // The other cause of this error names the content encodings in its own header.
  if (error.code === 'unsupported_media_type' && !reply.hasHeader('accept-encoding')) {
    reply.header('accept', 'application/json');
  }
  if (error.status === 401) reply.header('www-authenticate', 'Bearer');
  reply.headers(retryHeaders(error));
  const isAnthropic = isAnthropicPath(request.url);
  reply
    .code(isAnthropic ? anthropicStatusOf(error) : error.status)
    .type('application/json')
    .send(isAnthropic ? toAnthropicError(error, request.id) : error.toBody());
}

/**
 * OpenAI's clients read from these headers whether and when to try again. They prefer the milliseconds; `Retry-After` is
 * the same time in whole seconds.
 */
function retryHeaders(error: GatewayError): Record<string, string> {
  const { retryAfterMs, isRetryEstimated, shouldRetry } = error;
  const headers: Record<string, string> = {};
  if (shouldRetry !== undefined) headers['x-should-retry'] = String(shouldRetry);
  if (retryAfterMs !== undefined) {
    const waitMs = Math.max(1, isRetryEstimated ? spread(retryAfterMs) : retryAfterMs);
    headers['retry-after'] = String(Math.ceil(waitMs / 1000));
    headers['retry-after-ms'] = String(waitMs);
  }
  return headers;
}

/**
 * Shortens a wait at random, by up to a second and at most by half: clients that were refused together do not return
 * together.
 */
function spread(waitMs: number): number {
  return Math.ceil(waitMs - Math.random() * Math.min(1000, waitMs / 2));
}

function toGatewayError(thrown: unknown, request: FastifyRequest): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  const known = typeof code === 'string' ? codeOfFastifyError[code] : undefined;
  if (known === 'payload_too_large') {
    return bodyTooLarge(request.routeOptions.bodyLimit, thrown);
  }
  if (known !== undefined) return new GatewayError(known, { cause: thrown });
  // Fastify marks faults of the client, such as a body that ends too early, with a 4xx.
  const clientFault = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500;
  return new GatewayError(clientFault ? 'bad_request' : 'internal_error', { cause: thrown });
}

/** The access log names refusals. Below 500 the message is left out, because it may quote the request. */
function logFailure(error: GatewayError, request: FastifyRequest): void {
  const { code } = error.toBody().error;
  const reason = code === error.code ? undefined : error.code;
  const fields = { status: error.status, code, reason, param: error.param };
  if (error.status === 500) {
    request.log.error({ ...fields, err: error.cause ?? error }, 'request failed');
  } else {
    request.log.debug(fields, 'request refused');
  }
}
