import { integer, origins, seconds, text, truth } from '../../core/value-kinds.ts';
import { setting } from '../setting.ts';

/** Ports, and what a client may send. */
export const serverSettings = {
  HOST: setting({
    kind: text('ADDRESS'),
    fallbackText: '127.0.0.1; 0.0.0.0 with keys or in a container',
    summary: 'address that both listeners bind',
  }),
  PORT: setting({
    at: 'server.port',
    kind: integer({ min: 0, max: 65_535 }),
    fallback: 8000,
    summary: 'API port; 0 = any free one',
    alias: 'GATEWAY_PORT',
  }),
  PORT_HEALTH: setting({
    at: 'server.healthPort',
    kind: integer({ min: 0, max: 65_535 }),
    fallback: 8001,
    summary: 'health port; 0 = any free one',
  }),
  MAX_REQUEST_BODY_SIZE: setting({
    at: 'server.limits.bodyBytes',
    kind: integer({ min: 1, max: 2 ** 29 }),
    fallback: 10_485_760,
    summary: 'maximum size of a request body in bytes',
  }),
  MAX_HEADERS: setting({
    at: 'server.limits.headerCount',
    kind: integer({ min: 1, max: 10_000 }),
    fallback: 64,
    summary: 'maximum number of headers in a request',
  }),
  MAX_HEADER_LINE_SIZE: setting({
    at: 'server.limits.headerLineBytes',
    kind: integer({ min: 64, max: 2 ** 20 }),
    fallback: 8192,
    summary: 'maximum size of a header line in bytes',
  }),
  MAX_REQUEST_LINE_SIZE: setting({
    at: 'server.limits.requestLineBytes',
    kind: integer({ min: 64, max: 2 ** 20 }),
    fallback: 8192,
    summary: 'maximum size of the request line in bytes',
  }),
  MAX_CONNECTIONS: setting({
    at: 'server.limits.connectionCount',
    kind: integer({ min: 1, max: 1_000_000 }),
    fallback: 4096,
    summary: 'simultaneous connections to the API port',
  }),
  CLIENT_HEADER_TIMEOUT: setting({
    at: 'server.limits.headerTimeoutMs',
    kind: seconds({ min: 0, max: 3600, aboveMin: true }),
    fallback: 30_000,
    summary: 'seconds for the headers of a request; the body may take as long again',
  }),
  TLS_CERT: setting({
    at: 'server.tls.certPath',
    kind: text('PATH'),
    fallbackText: 'none: HTTP',
    summary: 'PEM file with the certificate of the API port; with TLS_KEY',
  }),
  TLS_KEY: setting({
    at: 'server.tls.keyPath',
    kind: text('PATH'),
    fallbackText: 'none: HTTP',
    summary: 'PEM file with its private key',
  }),
  REQUEST_TIMEOUT: setting({
    at: 'server.generationTimeoutMs',
    kind: seconds({ min: 0, max: 604_800 }),
    fallback: 300_000,
    summary:
      'seconds for a completion or a vector once it has its turn, streams included; 0 = no limit',
  }),
  MAX_QUEUE_SIZE: setting({
    at: 'server.queue.waitingCount',
    kind: integer({ min: 0, max: 1_000_000 }),
    fallback: 0,
    summary: 'requests that may wait for a slot; 0 = no limit',
  }),
  MAX_QUEUE_WAIT: setting({
    at: 'server.queue.waitMs',
    kind: seconds({ min: 0, max: 604_800 }),
    fallback: 0,
    summary: 'seconds for which a request may wait for a slot; 0 = no limit',
  }),
  CORS_ORIGINS: setting({
    at: 'server.corsOrigins',
    kind: origins(),
    fallback: [],
    fallbackText: 'none',
    summary: 'origins whose pages may call the server; * = all',
  }),
  DRAIN_TIMEOUT: setting({
    at: 'server.drainTimeoutMs',
    kind: seconds({ min: 0, max: 86_400 }),
    fallback: 30_000,
    summary: 'seconds for running requests to finish once the server is asked to stop',
  }),
  HEALTH_READINESS: setting({
    at: 'server.healthReadiness',
    kind: truth(),
    fallback: false,
    summary: 'health port answers /ping with 204 until the model is ready',
  }),
  CONFIG: setting({
    kind: text('PATH'),
    fallbackText: 'none',
    summary: 'JSON file with settings by any of their names',
  }),
  RESPONSES_STORE: setting({
    kind: truth(),
    fallback: false,
    summary:
      'keep the responses of /v1/responses in $DATA_DIR/responses, each for its key: `store`, `previous_response_id`',
  }),
  RESPONSES_STORE_SIZE: setting({
    kind: integer({ min: 1, max: 2 ** 20 }),
    fallback: 256,
    summary: 'megabytes of kept responses; the oldest are deleted first',
  }),
  RESPONSES_STORE_DAYS: setting({
    kind: integer({ min: 1, max: 3650 }),
    fallback: 30,
    summary: 'days after which a kept response is deleted',
  }),
};
