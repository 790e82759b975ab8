import { isIPv6 } from 'node:net';
import type { Config } from './config.ts';
import { buildGateway, type GatewayDeps } from './gateway.ts';
import { closed, opened, portOf } from './listen.ts';

/** The API port, open. */
export interface ApiListener {
  /** URL of the API. */
  readonly address: string;
  readonly port: number;
  /** Ends it, and the connections clients keep open. */
  close(): Promise<void>;
}

/**
 * Opens the API port and logs `listening` with the real numbers of both.
 * @throws {StartError} exit code 1 when it cannot be opened
 */
export async function openApiListener(
  { host, port }: Pick<Config['server'], 'host' | 'port'>,
  healthPort: number,
  deps: GatewayDeps,
): Promise<ApiListener> {
  const gateway = buildGateway(deps);
  await opened('PORT', host, port, () => {
    const listenTextResolver = (address: string) => `api port open at ${address}`;
    return gateway.listen({ host, port, listenTextResolver });
  });
  const openPort = portOf(gateway.server);
  deps.logger.info({ host, port: openPort, healthPort }, 'listening');
  return {
    address: `http://${isIPv6(host) ? `[${host}]` : host}:${openPort}`,
    port: openPort,
    close: () => closed(gateway.server, gateway.close()),
  };
}
