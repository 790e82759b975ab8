/** The API port. */
import type { Server as TlsServer } from 'node:https';
import { isIPv6 } from 'node:net';
import type { Config } from '../config/config.ts';
import { buildGateway, type GatewayDeps } from './gateway.ts';
import { closed, opened, portOf } from './listen.ts';
import { openCertificate, renewCertificate } from './tls-certificate.ts';

/** The open API port. */
export interface ApiListener {
  /** URL of the API. */
  readonly address: string;
  readonly port: number;
  /** Closes the port and all connections. */
  close(): Promise<void>;
}

/**
 * Opens the API port and logs `listening` with the numbers of both open ports.
 * @throws {StartError} exit code 1 if the port cannot be opened, 2 if the certificate cannot be used
 */
export async function openApiListener(
  { host, port, tls }: Pick<Config['server'], 'host' | 'port' | 'tls'>,
  healthPort: number,
  deps: Omit<GatewayDeps, 'tls'>,
): Promise<ApiListener> {
  const gateway = buildGateway({ ...deps, tls: tls && openCertificate(tls) });
  await opened('PORT', host, port, () => {
    const listenTextResolver = (address: string) => `api port open at ${address}`;
    return gateway.listen({ host, port, listenTextResolver });
  });
  const stopRenewing =
    tls && renewCertificate(gateway.server as unknown as TlsServer, tls, deps.logger);
  const openPort = portOf(gateway.server);
  deps.logger.info({ host, port: openPort, healthPort }, 'listening');
  return {
    address: `${tls === undefined ? 'http' : 'https'}://${isIPv6(host) ? `[${host}]` : host}:${openPort}`,
    port: openPort,
    close: () => {
      stopRenewing?.();
      return closed(gateway.server, gateway.close());
    },
  };
}
