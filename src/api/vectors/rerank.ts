import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { inputErrors, type RouteDoc } from '../../core/route-doc.ts';
import { toInputUsage } from './embedding-shapes.ts';
import { type InputDeps, metered, prepared, replyWithInputs } from './input-work.ts';
import { toResults } from './rerank-reply.ts';
import { readRanking } from './rerank-request.ts';
import { RerankReply, RerankRequest } from './rerank-shapes.ts';

/** `POST /v1/rerank` of Jina's and Cohere's APIs. */
export const rerank: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  const route = { schema: { body: RerankRequest }, attachValidation: true, config: { doc } };
  app.post('/v1/rerank', route, (request, reply) => rank(request, reply, deps));
};

async function rank(
  request: FastifyRequest<{ Body: RerankRequest }>,
  reply: FastifyReply,
  deps: InputDeps,
): Promise<RerankReply | FastifyReply> {
  const { body, log } = request;
  const { documents, model, ranker } = readRanking(request, deps);
  const { card, engine } = model;
  const { contextLength } = engine.info.embedding;
  return replyWithInputs(request, reply, deps, async (signal) => {
    const inputs = await prepared(ranker.prepareRanking(body.query, documents), {
      contextLength,
      pathOf: (index) => `documents[${index}]`,
    });
    const scores = await metered(request, inputs, () => ranker.rank(inputs, signal));
    const usage = toInputUsage(inputs.tokenCounts);
    log.info(
      { documentCount: documents.length, promptTokenCount: usage.prompt_tokens },
      'documents ranked',
    );
    return {
      object: 'list' as const,
      model: card.id,
      results: toResults(scores, documents, body),
      usage,
    };
  });
}

const doc: RouteDoc = {
  operationId: 'createRerank',
  tag: 'Embeddings',
  summary: 'Rank documents by a query',
  body: {
    name: 'RerankRequest',
    schema: RerankRequest,
    example: { query: 'a colour', documents: ['red', 'a dog'] },
  },
  reply: { name: 'RerankReply', schema: RerankReply },
  errors: inputErrors,
};
