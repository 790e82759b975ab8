import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteDoc } from '../../core/route-doc.ts';
import { Health, type HealthSources, toHealth } from './health-shapes.ts';

/**
 * `/ping` and `/health`: any method, always 200; the body has the state of the model. They answer in a hook, before a
 * request's body is parsed.
 */
export const health: FastifyPluginAsyncTypebox<HealthSources> = async (app, sources) => {
  app.all(
    '/ping',
    {
      config: { access: 'open', answersOptions: true, doc: pingDoc },
      onRequest: async (_request, reply) => reply.send(),
    },
    unreachable,
  );
  app.all(
    '/health',
    {
      config: { access: 'open', answersOptions: true, doc: healthDoc },
      onRequest: async (_request, reply) =>
        reply.type('application/json').send(JSON.stringify(toHealth(sources), null, 2)),
    },
    unreachable,
  );
};

async function unreachable(): Promise<never> {
  throw new Error('answered in onRequest');
}

const pingDoc: RouteDoc = {
  operationId: 'ping',
  tag: 'Server',
  summary: 'Check that the process answers; any method',
  reply: undefined,
};

const healthDoc: RouteDoc = {
  operationId: 'getHealth',
  tag: 'Server',
  summary: 'Get the state of the server; any method',
  description: 'The status is always 200; the body has the state of the model.',
  reply: { name: 'Health', schema: Health },
};
