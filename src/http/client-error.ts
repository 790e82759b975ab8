/** Answers bytes that Node's HTTP parser refuses: no request exists for them, so no hook runs. */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpLimits } from '../config/config.ts';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { RequestRecord } from '../observe/trace/request-trace.ts';
import { corsHeaders } from './cors.ts';
import { requestLineTooLong } from './http-limits.ts';
import { endLingering } from './linger.ts';
import type { CorsOrigins } from './origins.ts';
import { newRequestId, requestIdHeader } from './request-id.ts';

/** The parser errors of Node that have an error of their own; every other is a 400. */
const codeOfParserError: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
  HPE_HEADER_OVERFLOW: 'header_fields_too_large',
};

/** The parser errors of a length that is invalid, repeated, or sent beside `Transfer-Encoding`. */
const lengthErrors = ['HPE_INVALID_CONTENT_LENGTH', 'HPE_UNEXPECTED_CONTENT_LENGTH'];
const wrongLength = {
  message: 'The Content-Length header must be one number of bytes, and excludes Transfer-Encoding.',
};

/** Node stores the running reply on the socket, and checks it there for the same reason. */
type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

/** Node's error for bytes that are not a request. */
interface ParserFailure extends Error {
  readonly code?: string;
  /** The bytes with the error: a `Buffer`, although Fastify's types say otherwise. */
  readonly rawPacket?: unknown;
}

/**
 * Fastify's `clientErrorHandler`: answers, then closes the connection. If a reply has begun on the connection, it is
 * closed without an answer: the client would read the answer as a part of that reply.
 * @see https://github.com/nodejs/node/blob/v20.20.2/lib/_http_server.js, `socketOnError`
 */
export function clientErrorHandler(limits: HttpLimits, origins: CorsOrigins) {
  const answered = new WeakSet<HttpSocket>();
  return function answerClientError(
    this: FastifyInstance,
    failure: ParserFailure,
    socket: HttpSocket,
  ): void {
    // The bytes after the error are errors too.
    if (failure.code === 'ECONNRESET' || socket.destroyed || answered.has(socket)) return;
    answered.add(socket);
    const error = toGatewayError(failure, limits);
    const requestId = newRequestId();
    this.log.debug({ requestId, code: error.code, reason: failure.code }, 'request refused');
    const record: RequestRecord = {
      requestId,
      keyId: undefined,
      client: socket.remoteAddress ?? '-',
      method: '-',
      path: '-',
      route: undefined,
      status: error.status,
      failure: error.code,
      keyFailure: undefined,
      durationMs: 0,
      sentBytes: 0,
      generation: undefined,
      inputTokenCount: undefined,
      traceHeaders: undefined,
    };
    for (const observer of this.traceObservers) observer.ended(undefined, record);
    const replying = socket._httpMessage?.headersSent === true;
    const headers = corsHeaders(origins, sentOrigin(failure));
    if (!socket.writable || replying) {
      socket.destroySoon();
      return;
    }
    endLingering(socket, rawReply(error, requestId, headers));
  };
}

function toGatewayError(failure: ParserFailure, limits: HttpLimits): GatewayError {
  const code = codeOfParserError[failure.code ?? ''] ?? 'bad_request';
  // The request line has no end.
  if (code === 'header_fields_too_large' && /^[A-Z]+ [^\n]*$/.test(textOf(failure))) {
    return requestLineTooLong(limits);
  }
  if (lengthErrors.includes(failure.code ?? '')) return new GatewayError(code, wrongLength);
  return new GatewayError(code);
}

function sentOrigin(failure: ParserFailure): string | undefined {
  return /^origin:[ \t]*([^\r\n]*)$/im.exec(textOf(failure))?.[1]?.trim();
}

function textOf({ rawPacket }: ParserFailure): string {
  return Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1') : '';
}

function rawReply(
  error: GatewayError,
  requestId: string,
  headers: readonly (readonly [string, string])[],
): string {
  const body = JSON.stringify(error.toBody());
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `${requestIdHeader}: ${requestId}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
