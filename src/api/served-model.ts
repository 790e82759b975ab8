import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../errors.ts';
import type { ModelRegistry, ServedModel } from '../model/registry.ts';
import { missing } from './schemas/request-errors.ts';
import { unknownFields } from './schemas/unsupported-parameters.ts';

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

/** Names what was asked for, at no more than a sensible length, and what there is. */
export function modelNotFound(requested: string, { card }: ServedModel): GatewayError {
  return new GatewayError('model_not_found', {
    param: 'model',
    message: `The model \`${requested.slice(0, 200)}\` does not exist; this server has \`${card.id}\`.`,
  });
}

/** More choices of a prompt than slots could never run side by side. */
export function requireSlots(choiceCount: number, { engine }: ServedModel): void {
  const { slotCount } = engine.info;
  if (choiceCount <= slotCount) return;
  throw new GatewayError('invalid_value', {
    param: 'n',
    message: `\`n\` must be at most ${slotCount}, the number of this server's slots, received ${choiceCount}.`,
  });
}

/** Tells the operator which fields of a body had no effect. */
export function logUnknownFields(body: object, known: object, log: FastifyBaseLogger): void {
  const fields = unknownFields(body, known);
  if (fields.length > 0) log.debug({ fields }, 'unknown fields ignored');
}
