import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import type { Config } from '../config/config.ts';
import { closed, opened, portOf } from './listen.ts';
import { isLive, isReady, type ServiceState } from './service-state.ts';

/** What the health port reports: a state in memory, never the engine. */
export interface HealthServerDeps {
  /** `/ping` answers 204 until the model is ready, as serverless load balancers expect. */
  readonly readiness: boolean;
  readonly state: () => ServiceState;
}

/** The health port, open. */
export interface HealthListener {
  readonly port: number;
  close(): Promise<void>;
}

/** Time for the headers of a request, and between the requests of a connection. */
const patienceMs = 5_000;

/** How often connections are checked against {@link patienceMs}; Node's default of 30 s would make it 35. */
const checkIntervalMs = 1_000;

/** Bounds a flood of idle connections; pollers are few. */
const maxConnections = 256;

/** Seconds until a probe is worth repeating. */
const retryAfterSeconds = '2';

/**
 * Opens the health port.
 * @throws {StartError} exit code 1 when it cannot be opened
 */
export async function openHealthListener(
  { host, healthPort, healthReadiness }: Config['server'],
  state: () => ServiceState,
): Promise<HealthListener> {
  const health = buildHealthServer({ readiness: healthReadiness, state });
  await opened('PORT_HEALTH', host, healthPort, () => {
    health.listen({ host, port: healthPort });
    return once(health, 'listening');
  });
  return {
    port: portOf(health),
    close: () => closed(health, promisify(health.close.bind(health))()),
  };
}

/**
 * The server for `PORT_HEALTH`, not yet listening. It is separate from the gateway, so that polling neither counts as
 * traffic nor waits behind it.
 */
export function buildHealthServer({ readiness, state }: HealthServerDeps): Server {
  const server = createServer(
    {
      headersTimeout: patienceMs,
      requestTimeout: patienceMs,
      keepAliveTimeout: patienceMs,
      connectionsCheckingInterval: checkIntervalMs,
      maxHeaderSize: 8192,
    },
    (request, response) => {
      // The body is not read, so the connection cannot be reused.
      const hasBody =
        request.headers['transfer-encoding'] !== undefined ||
        (request.headers['content-length'] ?? '0') !== '0';
      if (hasBody) response.setHeader('Connection', 'close');

      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        answer(response, 405);
        return;
      }
      switch (toPath(request.url)) {
        case '/live':
          answer(response, isLive(state()) ? 200 : 503, state());
          return;
        case '/ready':
          if (!isReady(state())) response.setHeader('Retry-After', retryAfterSeconds);
          answer(response, isReady(state()) ? 200 : 503, state());
          return;
        case '/ping':
          answer(response, readiness && !isReady(state()) ? 204 : 200);
          return;
        default:
          answer(response, 200);
      }
    },
  );
  server.maxConnections = maxConnections;
  return server;
}

/** Without query and trailing slash. */
function toPath(url = '/'): string {
  return url.replace(/[?#].*$/, '').replace(/(?<=.)\/$/, '');
}

function answer(response: ServerResponse, status: number, body = ''): void {
  response.setHeader('Content-Type', 'text/plain');
  // A 204 has no body to measure.
  if (status !== 204) response.setHeader('Content-Length', Buffer.byteLength(body));
  // Node leaves the body out of an answer to HEAD.
  response.writeHead(status).end(body);
}
