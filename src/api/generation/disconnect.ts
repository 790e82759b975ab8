import type { FastifyReply, FastifyRequest } from 'fastify';

/** The reason a controller of {@link abortOnDisconnect} aborts with. Nobody is left to be told. */
export class ClientGone extends Error {
  constructor() {
    super('the client is gone');
    this.name = 'ClientGone';
  }
}

/**
 * A controller that aborts with {@link ClientGone} when the client leaves before its reply is finished.
 *
 * Not `request.signal`: it aborts once a POST body is read (fastify #6725, #7033). The socket is watched
 * beside the reply because a pipelined reply has no socket yet, and so no `close`, until its turn comes.
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
