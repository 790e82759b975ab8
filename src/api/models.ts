import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { ModelRegistry } from '../model/registry.ts';
import { modelErrors, type RouteDoc } from '../route-doc.ts';
import { Model, ModelList, toModel } from './schemas/models.ts';
import { modelNotFound } from './served-model.ts';

/** `GET /v1/models` and `GET /v1/models/{id}`; both 503 until the model is ready, for those who poll. */
export const models: FastifyPluginAsyncTypebox<{ readonly models: ModelRegistry }> = async (
  app,
  { models },
) => {
  app.get('/v1/models', { config: { doc: listDoc } }, async (): Promise<ModelList> => {
    return { object: 'list', data: [toModel(models.require())] };
  });

  // A wildcard, because an id may contain slashes, written out or percent-encoded.
  app.get(
    '/v1/models/*',
    { schema: { params: Type.Object({ '*': Type.String() }) }, config: { doc: modelDoc } },
    async (request): Promise<Model> => {
      const id = request.params['*'];
      const model = models.require();
      if (id === model.card.id) return toModel(model);
      throw modelNotFound(id, model);
    },
  );
};

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
  pathParameter: { name: 'id', description: 'The id of the model; slashes may be written out.' },
  reply: { name: 'Model', schema: Model },
  errors: [...modelErrors, 'model_not_found'],
};
