import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { ModelRegistry } from '../model/registry.ts';
import { type Model, type ModelList, toModel } from './schemas/models.ts';
import { modelNotFound } from './served-model.ts';

/** `GET /v1/models` and `GET /v1/models/{id}`; both 503 until the model is ready, for those who poll. */
export const models: FastifyPluginAsyncTypebox<{ readonly models: ModelRegistry }> = async (
  app,
  { models },
) => {
  app.get('/v1/models', async (): Promise<ModelList> => {
    return { object: 'list', data: [toModel(models.require())] };
  });

  // A wildcard, because an id may contain slashes, written out or percent-encoded.
  app.get(
    '/v1/models/*',
    { schema: { params: Type.Object({ '*': Type.String() }) } },
    async (request): Promise<Model> => {
      const id = request.params['*'];
      const model = models.require();
      if (id === model.card.id) return toModel(model);
      throw modelNotFound(id, model);
    },
  );
};
