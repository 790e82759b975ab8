import type { Server } from 'node:http';
import { StartError } from '../core/start-error.ts';

/** Connections that still send when everything is answered get this long. */
const closeTimeoutMs = 2000;
/** A connection kept alive is closed this soon after its last reply. */
const idleCheckMs = 50;

/**
 * Opens a listener.
 * @param name - of the setting that chose the port
 * @throws {StartError} exit code 1, in words that name port and setting
 */
export async function opened(
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
export async function closed(server: Server, closing: Promise<unknown>): Promise<void> {
  const idle = setInterval(() => server.closeIdleConnections(), idleCheckMs);
  const rest = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
  try {
    await closing;
  } finally {
    clearInterval(idle);
    clearTimeout(rest);
  }
}

/** The real number of the port; 0 while it is not open. */
export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
