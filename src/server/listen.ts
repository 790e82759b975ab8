import type { Server } from 'node:http';
import { StartError } from '../core/start-error.ts';

/** How long connections may still send once everything is answered. */
const closeTimeoutMs = 2000;
/** How soon a kept-alive connection is closed after its last reply. */
const idleCheckMs = 50;

/**
 * Opens a listener.
 * @param name - the setting of the port
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
      return `port ${port} on ${host} is already in use; stop the program that uses it or set another ${name}`;
    case 'EACCES':
      return `port ${port} on ${host} may not be opened by this user; set another ${name}`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST must be an address of this machine, received "${host}"`;
    default:
      return `port ${port} on ${host} cannot be opened: ${String(cause)}`;
  }
}

/** Waits until a server is closed, and ends the connections that its clients keep open. */
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

/** The number of the open port; 0 while it is not open. */
export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
