import type { FastifyReply, FastifyRequest } from 'fastify';

/** The abort reason of {@link abortOnDisconnect}. No client is left to receive it. */
export class ClientGone extends Error {
  constructor() {
    super('the client is gone');
    this.name = 'ClientGone';
  }
}

/**
 * A controller that aborts with {@link ClientGone} when the client leaves before its reply is finished.
 *
 * `request.signal` does not serve: it aborts once a POST body is read (fastify #6725, #7033). Both the reply and the
 * socket are observed, because a pipelined reply has no socket, and so no `close` event, until the replies before it end.
 */
export function abortOnDisconnect(request: FastifyRequest, reply: FastifyReply): AbortController {
  const controller = new AbortController();
  const { socket } = request.raw;
  const response = reply.raw;

  const onClose = () => {
    response.off('close', onClose);
    socket.off('close', onClose);
    if (!response.writableFinished) controller.abort(new ClientGone());
  };
  response.on('close', onClose);
  socket.on('close', onClose);
  if (socket.destroyed) onClose();
  return controller;
}
