import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelRegistry, ServedModel } from '../../model/registry.ts';
import { modelNotFound } from '../fields/served-model.ts';
import { Model, ModelList, toModel, toModelList } from './model-shapes.ts';

/**
 * `GET /v1/models` and `GET /v1/models/{id}`; both answer 503 until the model is ready, for clients that poll. A key
 * that may not use the model does not see it.
 */
export const models: FastifyPluginAsyncTypebox<{ readonly models: ModelRegistry }> = async (
  app,
  { models },
) => {
  const listConfig = { access: 'key', doc: listDoc } as const;
  app.get('/v1/models', { config: listConfig }, async (request): Promise<ModelList> => {
    const model = models.require();
    return toModelList(isVisible(model, request) ? model : undefined);
  });

  // A wildcard, because an id may contain slashes, written out or percent-encoded.
  app.get(
    '/v1/models/*',
    {
      config: { access: 'key', doc: modelDoc },
      schema: { params: Type.Object({ '*': Type.String() }) },
    },
    async (request): Promise<Model> => {
      const id = request.params['*'];
      const model = models.require();
      // The error must not reveal the model's name to a key that may not use it.
      if (!isVisible(model, request)) throw new GatewayError('model_not_found', { param: 'model' });
      if (id === model.card.id) return toModel(model);
      throw modelNotFound(id, model);
    },
  );
};

function isVisible({ card }: ServedModel, { caller }: FastifyRequest): boolean {
  return caller?.models?.includes(card.id) ?? true;
}

const listDoc: RouteDoc = {
  operationId: 'listModels',
  tag: 'Models',
  summary: 'List the served model',
  reply: { name: 'ModelList', schema: ModelList },
  errors: modelErrors,
};

const modelDoc: RouteDoc = {
  operationId: 'getModel',
  tag: 'Models',
  summary: 'Describe the served model',
  pathParameter: {
    name: 'id',
    description: 'The id of the model; slashes need no percent-encoding.',
  },
  reply: { name: 'Model', schema: Model },
  errors: [...modelErrors, 'model_not_found'],
};
