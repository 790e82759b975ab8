import { randomUUID } from 'node:crypto';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { inputErrors, type RouteDoc } from '../../core/route-doc.ts';
import { toInputUsage } from './embedding-shapes.ts';
import { type InputDeps, metered, replyWithInputs } from './input-work.ts';
import { ranksOf, toResults, toTeiRanks } from './rerank-reply.ts';
import { readRanking } from './rerank-request.ts';
import { AnyRerankReply, type RerankReply, RerankRequest, type TeiRanks } from './rerank-shapes.ts';
import { preparedPairs } from './shorten.ts';

/** `POST /v1/rerank` of Jina's and Cohere's APIs, and TEI's `POST /rerank`. */
export const rerank: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  const route = { schema: { body: RerankRequest }, attachValidation: true, config: { doc } };
  app.post('/v1/rerank', route, (request, reply) => rank(request, reply, deps));
};

async function rank(
  request: FastifyRequest<{ Body: RerankRequest }>,
  reply: FastifyReply,
  deps: InputDeps,
): Promise<RerankReply | TeiRanks | FastifyReply> {
  const { parsed, model, ranker } = readRanking(request, deps);
  const { card, engine } = model;
  const { contextLength } = engine.info.embedding;
  return replyWithInputs(request, reply, deps, async (signal) => {
    const inputs = await preparedPairs(parsed, parsed.cut, {
      ranker,
      tokenizer: engine.tokenizer,
      contextLength,
    });
    const scores = await metered(request, inputs, () =>
      ranker.rank(inputs, { raw: parsed.rawScores }, signal),
    );
    const usage = toInputUsage(inputs.tokenCounts);
    request.log.info(
      { documentCount: parsed.documents.length, promptTokenCount: usage.prompt_tokens },
      'documents ranked',
    );
    const ranks = ranksOf(scores, parsed);
    if (parsed.isTei) return toTeiRanks(ranks);
    return {
      id: `rerank-${randomUUID().replaceAll('-', '')}`,
      object: 'list' as const,
      model: card.id,
      results: toResults(ranks),
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
  reply: { name: 'RerankReply', schema: AnyRerankReply },
  errors: inputErrors,
};
