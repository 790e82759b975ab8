import type { FastifyInstance } from 'fastify';

/**
 * Answers `OPTIONS` on any path with an empty 204: browsers ask before they send a key. Routes that take
 * `OPTIONS` themselves are left alone.
 */
export function addPreflight(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.method !== 'OPTIONS' || request.routeOptions.config?.access === 'open') return;
    return reply.code(204).header('content-length', '0').send();
  });
}
