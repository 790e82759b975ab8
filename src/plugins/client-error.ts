import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { RequestRecord } from '../request-trace.ts';
import { newRequestId, requestIdHeader } from './request-id.ts';

/** Node's names for HTTP that cannot be parsed; any other is a 400. */
const codeOfParserError: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
  HPE_HEADER_OVERFLOW: 'header_fields_too_large',
};

/** Node keeps the reply under way on the socket, and checks it for the same reason. */
type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

/**
 * Fastify's `clientErrorHandler`: answers HTTP that never became a request, then closes the connection.
 * A connection whose reply has begun is only closed: a second reply inside it would forge its content.
 * @see https://github.com/nodejs/node/blob/v20.20.2/lib/_http_server.js, `socketOnError`
 */
export function answerClientError(
  this: FastifyInstance,
  failure: Error & { code?: string },
  socket: HttpSocket,
): void {
  if (failure.code === 'ECONNRESET' || socket.destroyed) return;
  const code = codeOfParserError[failure.code ?? ''] ?? 'bad_request';
  const error = new GatewayError(code);
  const requestId = newRequestId();
  this.log.debug({ requestId, code, reason: failure.code }, 'request refused');
  const record: RequestRecord = {
    requestId,
    keyId: undefined,
    client: socket.remoteAddress ?? '-',
    method: '-',
    path: '-',
    route: undefined,
    status: error.status,
    failure: code,
    durationMs: 0,
    sentBytes: 0,
    generation: undefined,
  };
  for (const observer of this.traceObservers) observer.ended(undefined, record);
  const replying = socket._httpMessage?.headersSent === true;
  if (socket.writable && !replying) socket.write(rawReply(error, requestId));
  socket.destroySoon();
}

function rawReply(error: GatewayError, requestId: string): string {
  const body = JSON.stringify(error.toBody());
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `${requestIdHeader}: ${requestId}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
