import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpLimits } from '../config/config.ts';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { RequestRecord } from '../observe/trace/request-trace.ts';
import { type CorsOrigins, corsHeaders } from './cors.ts';
import { requestLineTooLong } from './http-limits.ts';
import { endLingering } from './linger.ts';
import { newRequestId, requestIdHeader } from './request-id.ts';

/** Node's names for HTTP that cannot be parsed; any other is a 400. */
const codeOfParserError: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
  HPE_HEADER_OVERFLOW: 'header_fields_too_large',
};

/** Node's names for a body whose length is wrong, given twice, or given beside chunks. */
const lengthErrors = ['HPE_INVALID_CONTENT_LENGTH', 'HPE_UNEXPECTED_CONTENT_LENGTH'];
const wrongLength = {
  message:
    'The Content-Length header must be one number of bytes, and may not stand beside Transfer-Encoding.',
};

/** Node keeps the reply under way on the socket, and checks it for the same reason. */
type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

/** What Node tells of HTTP that never became a request. */
interface ParserFailure extends Error {
  readonly code?: string;
  /** The bytes it was found in: a `Buffer`, whatever Fastify's types say. */
  readonly rawPacket?: unknown;
}

/**
 * Fastify's `clientErrorHandler`: answers HTTP that never became a request, then closes the connection.
 * A connection whose reply has begun is only closed: a second reply inside it would forge its content.
 * @see https://github.com/nodejs/node/blob/v20.20.2/lib/_http_server.js, `socketOnError`
 */
export function clientErrorHandler(limits: HttpLimits, origins: CorsOrigins) {
  const answered = new WeakSet<HttpSocket>();
  return function answerClientError(
    this: FastifyInstance,
    failure: ParserFailure,
    socket: HttpSocket,
  ): void {
    // What comes behind the error is an error again.
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
  // A first line that does not end.
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
