/**
 * Answers `OPTIONS` on any path with an empty 204: browsers ask before they send a key. A route that answers `OPTIONS`
 * itself gets the requests that are no question of a browser.
 */
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
    if (request.method !== 'OPTIONS') return;
    const isPreflight = request.headers['access-control-request-method'] !== undefined;
    if (request.routeOptions.config?.answersOptions && !isPreflight) return;
    return reply.code(204).header('content-length', '0').send();
  });
});
