import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type HealthSources, toHealth } from './schemas/health.ts';

/**
 * `/ping` and `/health`, any method, always 200: the state of the model is in the body. They answer in
 * a hook, before anything of a request's body is looked at.
 */
export const health: FastifyPluginAsyncTypebox<HealthSources> = async (app, sources) => {
  const config = { access: 'open' } as const;
  app.all('/ping', { config, onRequest: async (_request, reply) => reply.send() }, unreachable);
  app.all(
    '/health',
    {
      config,
      onRequest: async (_request, reply) =>
        reply.type('application/json').send(JSON.stringify(toHealth(sources), null, 2)),
    },
    unreachable,
  );
};

async function unreachable(): Promise<never> {
  throw new Error('answered in onRequest');
}
