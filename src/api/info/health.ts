import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteDoc } from '../../core/route-doc.ts';
import { Health, type HealthSources, toHealth } from './health-shapes.ts';

/** Whether new requests are answered, and the word for the state of the server. */
export interface Readiness {
  readonly ready: boolean;
  /** `loading`, `ready`, `draining`, `stuck` or `failed`. */
  readonly state: string;
}

/** What the routes need. */
export interface HealthRouteDeps extends HealthSources {
  readonly readiness: () => Readiness;
}

/** Seconds until a probe is worth repeating; the health port sends the same. */
const retryAfterSeconds = '2';

/**
 * `/ping` and `/health`: any method, always 200; the body has the state of the model. `/ready`: 200 while new requests
 * are answered, else 503. They answer in a hook, before a request's body is parsed.
 */
export const health: FastifyPluginAsyncTypebox<HealthRouteDeps> = async (
  app,
  { readiness, ...sources },
) => {
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
  app.get(
    '/ready',
    {
      config: { access: 'open', doc: readyDoc },
      onRequest: async (_request, reply) => {
        const { ready, state } = readiness();
        if (!ready) reply.code(503).header('retry-after', retryAfterSeconds);
        return reply.type('text/plain').send(state);
      },
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

const readyDoc: RouteDoc = {
  operationId: 'getReadiness',
  tag: 'Server',
  summary: 'Check that the server answers new requests',
  description:
    'For the health checks of load balancers and routers: 200 when ready, 503 while the model is loading, after a failure and while the server is draining. The body is the state: `ready`, `loading`, `draining`, `stuck` or `failed`.',
  reply: { mediaType: 'text/plain', description: 'The server is ready.' },
  unavailable: {
    mediaType: 'text/plain',
    description: 'The server is not ready; the body says why.',
  },
};
