import type { FastifyInstance, FastifyRequest } from 'fastify';

/** The version of OpenAI's API that this one follows, as OpenAI names it. */
const apiVersion = '2020-10-01';

/**
 * Sends what OpenAI's clients read from the headers of every reply under `/v1`: the version of the API,
 * and how many milliseconds the server took until the headers went out, which for a stream is until its
 * first token.
 */
export function addOpenAiHeaders(app: FastifyInstance): void {
  const receivedAt = new WeakMap<FastifyRequest, number>();

  app.addHook('onRequest', async (request) => {
    receivedAt.set(request, performance.now());
  });

  app.addHook('onSend', async (request, reply) => {
    const startedAt = receivedAt.get(request);
    if (startedAt === undefined || !request.url.startsWith('/v1/')) return;
    reply.header('openai-version', apiVersion);
    reply.header('openai-processing-ms', Math.round(performance.now() - startedAt));
  });
}
