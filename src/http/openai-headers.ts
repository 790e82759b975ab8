/** The headers that OpenAI's clients read from each reply under `/v1`. */
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';

/** The version of OpenAI's API that this server follows, as OpenAI names it. */
const apiVersion = '2020-10-01';

/**
 * Sends the version of the API, and the milliseconds from the request to the reply's headers: of a stream, to its first
 * token.
 */
export const openAiHeaders = fp(async (app) => {
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
});
