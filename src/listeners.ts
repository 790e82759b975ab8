import { once } from 'node:events';
import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import { promisify } from 'node:util';
import type { Config } from './config.ts';
import type { Drain } from './drain.ts';
import { buildGateway } from './gateway.ts';
import { buildHealthServer } from './health-server.ts';
import type { KeySource } from './keys/key-source.ts';
import type { LimitStore } from './limits/limit-store.ts';
import type { Logger } from './log.ts';
import type { ModelRegistry } from './model/registry.ts';
import { programVersion } from './package-info.ts';
import { StartError } from './start-error.ts';

/** The API and the health port, open. */
export interface Listeners {
  /** URL of the API. */
  readonly address: string;
  /** Ends both, and the connections clients keep open. */
  close(): Promise<void>;
}

/** What the listeners answer with. */
export interface ListenerDeps {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly logger: Logger;
  /** Undefined where authentication is off. */
  readonly keys: KeySource | undefined;
  readonly limitStore: LimitStore | undefined;
}

/** Connections that still send when everything is answered get this long. */
const closeTimeoutMs = 2000;
/** A connection kept alive is closed this soon after its last reply. */
const idleCheckMs = 50;

/**
 * Opens both ports and logs `listening` with their real numbers.
 * @throws {StartError} exit code 1 when one cannot be opened; the other is closed then
 */
export async function openListeners(
  { server: config, auth }: Pick<Config, 'server' | 'auth'>,
  { models, drain, logger, keys, limitStore }: ListenerDeps,
): Promise<Listeners> {
  const { host } = config;
  const { failuresPerMinute, protectedMetrics } = auth;
  const gateway = buildGateway({
    logger,
    models,
    drain,
    authentication: keys && { keys, policy: auth, failuresPerMinute, protectedMetrics },
    limitStore,
    trustedProxies: config.trustedProxies,
    limits: config.limits,
    generationTimeoutMs: config.generationTimeoutMs,
    corsOrigins: config.corsOrigins,
    strictModel: config.strictModel,
    version: programVersion,
  });
  const health = buildHealthServer({ readiness: config.healthReadiness, models, drain });
  try {
    await opened('PORT', host, config.port, () => {
      const listenTextResolver = (address: string) => `api port open at ${address}`;
      return gateway.listen({ host, port: config.port, listenTextResolver });
    });
    await opened('PORT_HEALTH', host, config.healthPort, () => {
      health.listen({ host, port: config.healthPort });
      return once(health, 'listening');
    });
  } catch (error) {
    await gateway.close();
    throw error;
  }
  const port = portOf(gateway.server);
  logger.info({ host, port, healthPort: portOf(health) }, 'listening');
  return {
    address: `http://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    close: async () => {
      await closed(gateway.server, gateway.close());
      await closed(health, promisify(health.close.bind(health))());
    },
  };
}

async function opened(
  name: string,
  host: string,
  port: number,
  open: () => Promise<unknown>,
): Promise<void> {
  try {
    await open();
  } catch (cause) {
    throw new StartError(1, listenFailure(name, host, port, cause), { cause });
  }
}

function listenFailure(name: string, host: string, port: number, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is already in use; stop what uses it or set another ${name}`;
    case 'EACCES':
      return `port ${port} on ${host} may not be opened by this user; set another ${name}`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST must be an address of this machine, received "${host}"`;
    default:
      return `port ${port} on ${host} cannot be opened: ${String(cause)}`;
  }
}

/** Waits for a server that is closing, and ends the connections its clients keep open. */
async function closed(server: Server, closing: Promise<unknown>): Promise<void> {
  const idle = setInterval(() => server.closeIdleConnections(), idleCheckMs);
  const rest = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
  try {
    await closing;
  } finally {
    clearInterval(idle);
    clearTimeout(rest);
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
