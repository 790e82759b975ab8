import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Drain } from './drain.ts';
import type { ModelRegistry } from './model/registry.ts';

/** What the health port reports on: flags in memory, never the engine. */
export interface HealthServerDeps {
  /** `/ping` answers 204 until the model is ready, as serverless load balancers expect. */
  readonly readiness: boolean;
  readonly models: ModelRegistry;
  readonly drain: Drain;
}

/** Time for a client to send its headers, and between its requests. */
const patienceMs = 5_000;

/** How often connections are checked against it; Node's own 30 s would make it 35. */
const checkIntervalMs = 1_000;

/** Pollers are few; this only bounds what a flood of idle connections can hold. */
const connectionLimit = 256;

/** Seconds until a probe is worth repeating. */
const retryAfterSeconds = '2';

/**
 * The listener for `PORT_HEALTH`, not yet listening. Apart from the gateway, so that polling a server
 * neither counts as traffic nor waits behind it.
 */
export function buildHealthServer({ readiness, models, drain }: HealthServerDeps): Server {
  const isReady = () => models.phase === 'ready' && !drain.draining;

  const server = createServer(
    {
      headersTimeout: patienceMs,
      requestTimeout: patienceMs,
      keepAliveTimeout: patienceMs,
      connectionsCheckingInterval: checkIntervalMs,
      maxHeaderSize: 8192,
    },
    (request, response) => {
      // A body is not awaited, and with it unread the connection is of no further use.
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
        case '/ready':
          if (!isReady()) response.setHeader('Retry-After', retryAfterSeconds);
          answer(response, isReady() ? 200 : 503);
          return;
        case '/ping':
          answer(response, readiness && !isReady() ? 204 : 200);
          return;
        default:
          answer(response, 200);
      }
    },
  );
  server.maxConnections = connectionLimit;
  return server;
}

/** Without query and trailing slash. */
function toPath(url = '/'): string {
  return url.replace(/[?#].*$/, '').replace(/(?<=.)\/$/, '');
}

function answer(response: ServerResponse, status: number): void {
  response.setHeader('Content-Type', 'text/plain');
  // A 204 has no body to measure.
  if (status !== 204) response.setHeader('Content-Length', 0);
  response.writeHead(status).end();
}
