import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { GatewayError } from '../../core/errors.ts';
import { inputErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import { chooseModel, requireEmbedder } from '../fields/served-model.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import { embeddingListText } from './embedding-reply.ts';
import { type ParsedEmbedding, readEmbedding } from './embedding-request.ts';
import { EmbeddingList, EmbeddingRequest, toInputUsage } from './embedding-shapes.ts';
import { type InputDeps, metered, prepared, replyWithInputs } from './input-work.ts';

/** `POST /v1/embeddings`. */
export const embeddings: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  const route = { schema: { body: EmbeddingRequest }, config: { doc } };
  app.post('/v1/embeddings', route, async (request, reply) => {
    const parsed = readEmbedding(request.body, request.log);
    const model = chooseModel(deps, parsed.model);
    const embedder = requireEmbedder(model);
    const { card, engine } = model;
    requireEmbeddable(parsed, engine.info);
    return replyWithInputs(request, reply, deps, async (signal) => {
      const { contextLength } = engine.info.embedding;
      const inputs = await prepared(
        embedder.prepareInputs(
          parsed.inputs.map(({ content }) => content),
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

/** @throws {GatewayError} `invalid_value` for values beyond this model's limits */
function requireEmbeddable(
  { inputs, dimensions, truncation }: ParsedEmbedding,
  { embedding, vocabularySize }: EngineInfo,
): void {
  requireAtMost('dimensions', dimensions, embedding.width, 'values of a vector');
  if (typeof truncation === 'number') {
    requireAtMost(
      'truncate_prompt_tokens',
      truncation,
      embedding.contextLength,
      'tokens of one input',
    );
  }
  for (const { path, content } of inputs) {
    if (typeof content !== 'string') checkTokenIds(content, vocabularySize, path);
  }
}

function requireAtMost(
  param: string,
  value: number | undefined,
  max: number,
  meaning: string,
): void {
  if (value === undefined || value <= max) return;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be between 1 and ${max}, this model's number of ${meaning}, received ${value}.`,
  });
}
