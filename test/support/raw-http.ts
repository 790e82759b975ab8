import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What a server wrote until it closed the connection. */
export interface RawReply {
  readonly head: string;
  readonly body: string;
}

/** Writes these bytes to a local port and reads until the server closes. */
export function exchange(port: number, request: string | Buffer): Promise<RawReply> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  return readAll(socket);
}

/** Everything until the server closes. */
export async function readAll(socket: Socket): Promise<RawReply> {
  let text = '';
  socket.on('data', (bytes) => {
    text += String(bytes);
  });
  socket.on('error', () => {});
  await once(socket, 'close');
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { head, body };
}
