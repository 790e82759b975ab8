import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { inputErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { EmbeddingInput } from '../../engine/embedder.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';
import { tokensOf } from '../generation/prompt.ts';
import { embeddingListText } from './embedding-reply.ts';
import { type InputContent, readEmbedding } from './embedding-request.ts';
import { EmbeddingList, EmbeddingRequest, toInputUsage } from './embedding-shapes.ts';
import { type InputDeps, metered, prepared, replyWithInputs } from './input-work.ts';

/** `POST /v1/embeddings`. */
export const embeddings: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  const route = { schema: { body: EmbeddingRequest }, attachValidation: true, config: { doc } };
  app.post('/v1/embeddings', route, async (request, reply) => {
    const { parsed, model, embedder } = readEmbedding(request, deps);
    const { card, engine } = model;
    return replyWithInputs(request, reply, deps, async (signal) => {
      const { contextLength } = engine.info.embedding;
      const contents = await Promise.all(
        parsed.inputs.map(({ content }) => toEmbeddingInput(content, engine.tokenizer)),
      );
      const inputs = await prepared(
        embedder.prepareInputs(
          contents,
          parsed.truncation === 'context' ? contextLength : parsed.truncation,
        ),
        { contextLength, pathOf: (index) => parsed.inputs[index]?.path ?? 'input' },
      );
      const vectors = await metered(request, inputs, () =>
        embedder.embed(inputs, parsed.dimensions, signal),
      );
      const usage = toInputUsage(inputs.tokenCounts);
      request.log.info(
        { inputCount: vectors.length, promptTokenCount: usage.prompt_tokens },
        'inputs embedded',
      );
      return reply
        .type('application/json; charset=utf-8')
        .send(await embeddingListText(vectors, parsed.encodingFormat, { model: card.id, usage }));
    });
  });
};

/** Texts among tokens become tokens, too. */
function toEmbeddingInput(
  content: InputContent['content'],
  tokenizer: Tokenizer,
): EmbeddingInput | Promise<EmbeddingInput> {
  if (typeof content === 'string') return content;
  const isMixed = content.some((part) => typeof part === 'string');
  return isMixed ? tokensOf(tokenizer, content) : (content as readonly number[]);
}

const doc: RouteDoc = {
  operationId: 'createEmbedding',
  tag: 'Embeddings',
  summary: 'Compute the vectors of texts',
  body: {
    name: 'EmbeddingRequest',
    schema: EmbeddingRequest,
    example: { input: ['red', 'blue'], encoding_format: 'float' },
  },
  reply: {
    name: 'EmbeddingList',
    schema: EmbeddingList,
    example: {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.6, -0.8] }],
      model: 'tiny-chat',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    },
  },
  errors: inputErrors,
};
