import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { GatewayError } from '../../core/errors.ts';
import { inputErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import { chooseModel, logUnknownFields, requireEmbedder } from '../fields/served-model.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import { embeddingListText } from './embedding-reply.ts';
import { type EmbeddingWork, readEmbeddingRequest } from './embedding-request.ts';
import { EmbeddingList, EmbeddingRequest, toInputUsage } from './embedding-shapes.ts';
import { answerWithInputs, type InputDeps, metered, prepared } from './input-work.ts';

/** `POST /v1/embeddings`. */
export const embeddings: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  const route = { schema: { body: EmbeddingRequest }, config: { doc } };
  app.post('/v1/embeddings', route, async (request, reply) => {
    logUnknownFields(request.body, EmbeddingRequest.properties, request.log);
    const reading = readEmbeddingRequest(request.body);
    const model = chooseModel(deps, reading.model);
    const embedder = requireEmbedder(model);
    const { card, engine } = model;
    requireEmbeddable(reading, engine.info);
    return answerWithInputs(request, reply, deps, async (signal) => {
      const { contextLength } = engine.info.embedding;
      const inputs = await prepared(
        embedder.prepareInputs(
          reading.inputs.map(({ content }) => content),
          reading.truncation === 'context' ? contextLength : reading.truncation,
        ),
        { contextLength, pathOf: (index) => reading.inputs[index]?.path ?? 'input' },
      );
      const vectors = await metered(request, inputs, () =>
        embedder.embed(inputs, reading.dimensions, signal),
      );
      const usage = toInputUsage(inputs.tokenCounts);
      request.log.info(
        { inputCount: vectors.length, promptTokenCount: usage.prompt_tokens },
        'inputs embedded',
      );
      return reply
        .type('application/json; charset=utf-8')
        .send(await embeddingListText(vectors, reading.encodingFormat, { model: card.id, usage }));
    });
  });
};

const doc: RouteDoc = {
  operationId: 'createEmbedding',
  tag: 'Embeddings',
  summary: 'Turn texts into vectors',
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

/** @throws {GatewayError} `invalid_value` for values that this model does not have */
function requireEmbeddable(
  { inputs, dimensions, truncation }: EmbeddingWork,
  { embedding, vocabularySize }: EngineInfo,
): void {
  requireAtMost('dimensions', dimensions, embedding.width, 'values that its vectors have');
  if (typeof truncation === 'number') {
    requireAtMost(
      'truncate_prompt_tokens',
      truncation,
      embedding.contextLength,
      'tokens that it takes at once',
    );
  }
  for (const { path, content } of inputs) {
    if (typeof content !== 'string') checkTokenIds(content, vocabularySize, path);
  }
}

function requireAtMost(
  param: string,
  value: number | undefined,
  most: number,
  meaning: string,
): void {
  if (value === undefined || value <= most) return;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be between 1 and ${most}, for this model the ${meaning}, received ${value}.`,
  });
}
