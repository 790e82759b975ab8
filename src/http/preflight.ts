/** Answers `OPTIONS` on any path with an empty 204: browsers ask before they send a key. */
import fp from 'fastify-plugin';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route answers `OPTIONS` itself. */
    answersOptions?: true;
  }
}

/** Registered before authentication. */
export const preflight = fp(async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    if (request.method !== 'OPTIONS' || request.routeOptions.config?.answersOptions) return;
    return reply.code(204).header('content-length', '0').send();
  });
});
