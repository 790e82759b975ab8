import { GatewayError } from '../../core/errors.ts';
import type { Embedder } from '../../engine/embedder.ts';
import type { GeneratingEngine } from '../../engine/engine.ts';
import type { ModelRegistry, ServedModel } from '../../model/registry.ts';
import type { ParsedRequest } from './generation-fields.ts';
import { missing } from './request-errors.ts';
import type { RequestProblems } from './request-problems.ts';
import { requireTokens } from './token-rules.ts';

/** How the model of a request is chosen. */
export interface ModelChoice {
  readonly models: ModelRegistry;
  /** Refuse a `model` other than the served one, instead of ignoring the field. */
  readonly strictModel: boolean;
}

/** A model that generates text. */
export type TextModel = ServedModel & { readonly engine: GeneratingEngine };

/**
 * The model that answers a request.
 * @param requested - undefined or null when the request leaves the choice to the server
 * @throws {GatewayError} `model_loading`, `model_failed`; with strict models also `model_not_found` and
 *   `missing_required_parameter`
 */
export function chooseModel(
  { models, strictModel }: ModelChoice,
  requested: string | null | undefined,
): ServedModel {
  const model = models.require();
  if (!strictModel) return model;
  if (requested == null) throw missing('model');
  if (requested !== model.card.id) throw modelNotFound(requested, model);
  return model;
}

/**
 * The model that answers a request for text.
 * @throws {GatewayError} what {@link chooseModel} throws, and `unsupported_model`
 */
export function chooseTextModel(
  choice: ModelChoice,
  requested: string | null | undefined,
): TextModel {
  const model = chooseModel(choice, requested);
  if (generatesText(model)) return model;
  const [use, url] = isRanker(model)
    ? ['ranks documents', '/v1/rerank']
    : ['computes embeddings', '/v1/embeddings'];
  throw unsupportedModel(
    `The model \`${model.card.id}\` does not support text generation: it only ${use} (POST ${url}).`,
  );
}

/**
 * The part of a model that computes vectors.
 * @throws {GatewayError} `unsupported_model`
 */
export function requireEmbedder(model: ServedModel): Embedder {
  if (!isRanker(model)) return model.engine.embedder;
  throw unsupportedModel(
    'This model ranks documents (POST /v1/rerank) and does not support embeddings; POOLING can change that.',
  );
}

/**
 * The part of a model that ranks documents.
 * @throws {GatewayError} `unsupported_model`
 */
export function requireRanker(model: ServedModel): Embedder {
  if (isRanker(model)) return model.engine.embedder;
  throw unsupportedModel(
    'This model does not support reranking: that requires a classification head, and the pooling type `rank` in the GGUF file.',
  );
}

/** Names the requested model, cut to a sensible length, and the served one. */
export function modelNotFound(requested: string, { card }: ServedModel): GatewayError {
  return new GatewayError('model_not_found', {
    param: 'model',
    message: `The model \`${requested.slice(0, 200)}\` does not exist; this server has \`${card.id}\`.`,
  });
}

/**
 * Checks the values whose limits depend on the served model.
 * @param problems - receives `invalid_value` for more choices of a prompt than slots, which could never run side by
 *   side, and for tokens outside the vocabulary
 * @param choiceField - the field that names the number of choices
 */
export function requireServable(
  { choiceCount, options }: ParsedRequest,
  { engine }: ServedModel,
  problems: RequestProblems,
  choiceField: 'n' | 'best_of' = 'n',
): void {
  const { slotCount, vocabularySize } = engine.info;
  if (choiceCount > slotCount && !problems.concerns(choiceField)) {
    problems.add(
      new GatewayError('invalid_value', {
        param: choiceField,
        message: `\`${choiceField}\` must be at most ${slotCount}, the number of this server's slots, received ${choiceCount}.`,
      }),
    );
  }
  const { sampling = {}, tokenRules } = options;
  problems.attempt(undefined, () => requireTokens(sampling, tokenRules, vocabularySize));
}

function generatesText(model: ServedModel): model is TextModel {
  return model.engine.generator !== undefined;
}

function isRanker({ engine }: ServedModel): boolean {
  return engine.info.embedding.pooling === 'rank';
}

function unsupportedModel(message: string): GatewayError {
  return new GatewayError('unsupported_model', { param: 'model', message });
}
