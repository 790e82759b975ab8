/** Asks for a body once the head of its request is accepted: `Expect: 100-continue`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import fp from 'fastify-plugin';

/**
 * A client with a large body may wait to be asked for it, and does not send the body of a request that is refused by its
 * head. Registered after the hooks that refuse by the head, and before those that read the body.
 */
export const expectContinue = fp(async (app) => {
  /** The requests whose clients wait. */
  const waiting = new WeakSet<IncomingMessage>();
  const answer = (request: IncomingMessage, response: ServerResponse) =>
    app.server.emit('request', request, response);

  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waiting.add(request);
    answer(request, response);
  });
  // Any other expectation is a hint: Node would refuse it without a body.
  app.server.on('checkExpectation', answer);

  app.addHook('preParsing', async (request, reply, payload) => {
    if (waiting.delete(request.raw)) reply.raw.writeContinue();
    return payload;
  });

  // Whether a client that was not asked sends the body is unknown, and so is where its next request begins.
  app.addHook('onSend', async (request, reply, payload) => {
    if (waiting.has(request.raw)) reply.header('connection', 'close');
    return payload;
  });
});
