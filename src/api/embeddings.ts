import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Engine } from '../engine/engine.ts';
import { GatewayError } from '../errors.ts';
import { answerWithInputs, type InputDeps, prepared } from './input-work.ts';
import { embeddingListText } from './schemas/embedding-reply.ts';
import { type EmbeddingWork, readEmbeddingRequest } from './schemas/embedding-request.ts';
import { EmbeddingRequest, toInputUsage } from './schemas/embeddings.ts';
import { checkTokenIds } from './schemas/token-ids.ts';
import { chooseModel, logUnknownFields } from './served-model.ts';

/** `POST /v1/embeddings`. */
export const embeddings: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  app.post('/v1/embeddings', { schema: { body: EmbeddingRequest } }, async (request, reply) => {
    logUnknownFields(request.body, EmbeddingRequest.properties, request.log);
    const reading = readEmbeddingRequest(request.body);
    const { card, engine } = chooseModel(deps, reading.model);
    requireEmbeddable(reading, engine);
    return answerWithInputs(request, reply, deps.drain, async (signal) => {
      const { contextLength } = engine.info.embedding;
      const inputs = await prepared(
        engine.prepareInputs(
          reading.inputs.map(({ content }) => content),
          reading.truncation === 'context' ? contextLength : reading.truncation,
        ),
        { contextLength, pathOf: (index) => reading.inputs[index]?.path ?? 'input' },
      );
      const vectors = await engine.embed(inputs, reading.dimensions, signal);
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

/** @throws {GatewayError} `unsupported_model`, and `invalid_value` for what this model does not have */
function requireEmbeddable(
  { inputs, dimensions, truncation }: EmbeddingWork,
  { info: { embedding, vocabularySize } }: Engine,
): void {
  if (embedding.pooling === 'rank') {
    throw new GatewayError('unsupported_model', {
      param: 'model',
      message:
        'This model ranks documents (POST /v1/rerank) and gives no embeddings; POOLING can change that.',
    });
  }
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
