/** Puts the id of the key into each log line of a request. */
import fp from 'fastify-plugin';

/** Registered after authentication. */
export const callerLog = fp(async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    if (request.caller === undefined) return;
    request.log = reply.log = request.log.child({ keyId: request.caller.keyId });
  });
});
