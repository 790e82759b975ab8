/** Closes connections whose client may still be sending, so that the reply arrives. */
import type { Socket } from 'node:net';

/** How long a refused client may continue to send, in milliseconds; the server discards what it receives. */
const lingerMs = 500;

/** Ends a connection after a delay: closing it with unread bytes would reset it, and the reply would be lost. */
export function endLingering(socket: Socket, lastBytes = ''): void {
  socket.end(lastBytes);
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

/** Makes Node end the connection with the same delay once its reply is sent. */
export function lingerAfterReply(socket: Socket): void {
  socket.destroySoon = () => endLingering(socket);
}
