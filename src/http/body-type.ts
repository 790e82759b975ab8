/** Decides by the head of a request whether its body is read. */
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';
import { type CorsOrigins, isAllowedOrigin } from './origins.ts';

/** Media types whose content is never JSON. */
const otherContent = /^\s*(audio|font|image|model|multipart|video)\//i;

/** `type/subtype`, with or without parameters. */
const wellFormed = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(;|$)/;

export interface BodyTypeOptions {
  /** The origins whose pages may declare any type. */
  readonly origins: CorsOrigins;
}

/**
 * A body that is declared as a form, as text, wrongly or not at all is read as JSON, too: `curl -d` and `fetch` declare
 * forms and text unless the caller names a type. A page of another origin must declare JSON: a browser asks the server
 * before it sends JSON (see `cors.ts`), and sends a form or text without asking.
 */
export const bodyType = fp<BodyTypeOptions>(async (app, { origins }) => {
  app.addHook('preParsing', async (request, _reply, payload) => {
    const { bodyLimit } = request.routeOptions;
    if (Number(request.headers['content-length'] ?? 0) > bodyLimit) throw bodyTooLarge(bodyLimit);
    if (!hasBody(request) || isDeclaredJson(request)) return payload;
    const type = request.headers['content-type'] ?? '';
    if (otherContent.test(type) || isOfForeignPage(request, origins)) throw notJson();
    // Fastify refuses a malformed type before it asks a parser.
    if (!wellFormed.test(type)) request.headers['content-type'] = 'application/octet-stream';
    return payload;
  });
});

/** Whether bytes follow the head of a request. */
export function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Whether the declared media type is the one of JSON. */
export function isDeclaredJson({ headers }: FastifyRequest): boolean {
  return /^\s*application\/json\s*(;|$)/i.test(headers['content-type'] ?? '');
}

/** The refusal of a body that is not JSON. */
export function notJson(cause?: unknown): GatewayError {
  return new GatewayError('unsupported_media_type', { cause });
}

/** The refusal of a body with more bytes than the limit, as sent or after decoding. */
export function bodyTooLarge(limitBytes: number, cause?: unknown): GatewayError {
  return new GatewayError('payload_too_large', {
    message: `The request body must be at most ${limitBytes} bytes.`,
    cause,
  });
}

/** Browsers name the origin of the page in every POST. */
function isOfForeignPage({ headers, host }: FastifyRequest, origins: CorsOrigins): boolean {
  const { origin } = headers;
  if (origin === undefined || isAllowedOrigin(origin, origins)) return false;
  return origin.replace(/^https?:\/\//, '') !== host;
}
