import type { Socket } from 'node:net';

/** How long a client that was refused may go on sending, in milliseconds; all of it is thrown away. */
const lingerMs = 500;

/**
 * Ends a connection whose client may still be sending. Closed with something unread it would be reset, and the
 * reply lost on its way.
 */
export function endLingering(socket: Socket, lastBytes = ''): void {
  socket.end(lastBytes);
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

/** Lets Node end a connection like that once its reply is sent. */
export function lingerAfterReply(socket: Socket): void {
  socket.destroySoon = () => endLingering(socket);
}
