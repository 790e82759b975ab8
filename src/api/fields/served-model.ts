import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import type { Embedder } from '../../engine/embedder.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Generator } from '../../engine/generator.ts';
import type { ModelRegistry, ServedModel } from '../../model/registry.ts';
import type { GenerationRequest } from './generation-request.ts';
import { missing } from './request-errors.ts';
import { requireTokens } from './sampling.ts';
import { unknownFields } from './unsupported-parameters.ts';

/** How requests choose their model. */
export interface ModelChoice {
  readonly models: ModelRegistry;
  /** Refuse a `model` other than the served one, instead of ignoring the field. */
  readonly strictModel: boolean;
}

/**
 * The model to answer with.
 * @param requested - undefined when the request leaves the choice to the server
 * @throws {GatewayError} `model_loading`, `model_failed`; with strict models also `model_not_found` and
 *   `missing_required_parameter`
 */
export function chooseModel(
  { models, strictModel }: ModelChoice,
  requested: string | undefined,
): ServedModel {
  const model = models.require();
  if (!strictModel) return model;
  if (requested === undefined) throw missing('model');
  if (requested !== model.card.id) throw modelNotFound(requested, model);
  return model;
}

/**
 * The part of a model that generates text.
 * @throws {GatewayError} `unsupported_model`
 */
export function requireGenerator({ card, engine }: ServedModel): Generator {
  if (engine.generator !== undefined) return engine.generator;
  const [use, url] = isRanker(engine)
    ? ['ranks documents', '/v1/rerank']
    : ['makes embeddings', '/v1/embeddings'];
  throw unsupportedModel(
    `The model \`${card.id}\` continues no text: it only ${use} (POST ${url}).`,
  );
}

/**
 * The part of a model that makes vectors.
 * @throws {GatewayError} `unsupported_model`
 */
export function requireEmbedder({ engine }: ServedModel): Embedder {
  if (!isRanker(engine)) return engine.embedder;
  throw unsupportedModel(
    'This model ranks documents (POST /v1/rerank) and gives no embeddings; POOLING can change that.',
  );
}

/**
 * The part of a model that ranks documents.
 * @throws {GatewayError} `unsupported_model`
 */
export function requireRanker({ engine }: ServedModel): Embedder {
  if (isRanker(engine)) return engine.embedder;
  throw unsupportedModel(
    'This model cannot rank documents: that takes a classification head, and the pooling type `rank` in the GGUF file.',
  );
}

function isRanker({ info }: Engine): boolean {
  return info.embedding.pooling === 'rank';
}

function unsupportedModel(message: string): GatewayError {
  return new GatewayError('unsupported_model', { param: 'model', message });
}

/** Names what was asked for, at no more than a sensible length, and what there is. */
export function modelNotFound(requested: string, { card }: ServedModel): GatewayError {
  return new GatewayError('model_not_found', {
    param: 'model',
    message: `The model \`${requested.slice(0, 200)}\` does not exist; this server has \`${card.id}\`.`,
  });
}

/**
 * What only the served model can tell of a request.
 * @param choiceField - what asked for so many choices
 * @throws {GatewayError} `invalid_value` for more choices of a prompt than slots, which could never run
 *   side by side, and for tokens the vocabulary does not have
 */
export function requireServable(
  { choiceCount, options }: GenerationRequest,
  { engine }: ServedModel,
  choiceField: 'n' | 'best_of' = 'n',
): void {
  const { slotCount, vocabularySize } = engine.info;
  if (choiceCount > slotCount) {
    throw new GatewayError('invalid_value', {
      param: choiceField,
      message: `\`${choiceField}\` must be at most ${slotCount}, the number of this server's slots, received ${choiceCount}.`,
    });
  }
  requireTokens(options.sampling ?? {}, vocabularySize);
}

/** Tells the operator which fields of a body had no effect. */
export function logUnknownFields(body: object, known: object, log: FastifyBaseLogger): void {
  const fields = unknownFields(body, known);
  if (fields.length > 0) log.debug({ fields }, 'unknown fields ignored');
}
