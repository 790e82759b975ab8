import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply } from 'fastify';
import { GatewayError } from '../errors.ts';
import { answerWithInputs, type InputDeps, prepared } from './input-work.ts';
import { toInputUsage } from './schemas/embeddings.ts';
import { type RerankReply, RerankRequest, readDocuments, toResults } from './schemas/rerank.ts';
import { refuseUnsupported } from './schemas/unsupported-parameters.ts';
import { chooseModel, logUnknownFields } from './served-model.ts';

/** `POST /v1/rerank`, as Jina and Cohere have it, and `POST /rerank`. */
export const rerank: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  for (const url of ['/v1/rerank', '/rerank']) {
    app.post(
      url,
      { schema: { body: RerankRequest } },
      async (request, reply): Promise<RerankReply | FastifyReply> => {
        const { body, log } = request;
        logUnknownFields(body, RerankRequest.properties, log);
        refuseUnsupported(body, RerankRequest.properties);
        const documents = readDocuments(body);
        const { card, engine } = chooseModel(deps, body.model ?? undefined);
        const { pooling, contextLength } = engine.info.embedding;
        if (pooling !== 'rank') throw cannotRank();
        return answerWithInputs(request, reply, deps.drain, async (signal) => {
          const inputs = await prepared(engine.prepareRanking(body.query, documents), {
            contextLength,
            pathOf: (index) => `documents[${index}]`,
          });
          const scores = await engine.rank(inputs, signal);
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
      },
    );
  }
};

function cannotRank(): GatewayError {
  return new GatewayError('unsupported_model', {
    param: 'model',
    message:
      'This model cannot rank documents: that takes a classification head, and the pooling type `rank` in the GGUF file.',
  });
}
