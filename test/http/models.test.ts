import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ModelList } from '../../src/api/info/model-shapes.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { card, postChat, startGateway } from '../support/start-gateway.ts';

const served = {
  id: card.id,
  object: 'model',
  created: card.created,
  owned_by: 'llama-gguf-inference',
  type: 'model',
  display_name: card.id,
  created_at: new Date(card.created * 1000).toISOString(),
  max_input_tokens: 2048,
  max_tokens: 2048,
  root: card.id,
  parent: null,
  max_model_len: 2048,
  context_length: 2048,
  trained_context_length: 4096,
  architecture: 'llama',
  parameter_count: 260_000,
  quantization: 'Q8_0',
  size_bytes: 1_185_376,
  bundled: false,
  embedding_length: 8,
  capabilities: {
    chat: true,
    completion: true,
    tools: true,
    thinking: true,
    infill: true,
    embeddings: true,
    rerank: false,
  },
  meta: {
    n_vocab: 32_000,
    n_ctx: 2048,
    n_ctx_train: 4096,
    n_embd: 8,
    n_params: 260_000,
    size: 1_185_376,
  },
};

describe('the list of models', () => {
  test.each(['/v1/models', '/v1/models/', '/v1/models?limit=5'])(
    '%s has the served one',
    async (url) => {
      const { app } = startGateway();
      const reply = await app.inject(url);
      expect(reply.statusCode).toBe(200);
      expect(Schema.Check(ModelList, reply.json())).toBe(true);
      expect(reply.json()).toEqual({
        ...{ object: 'list', data: [served] },
        ...{ has_more: false, first_id: card.id, last_id: card.id },
      });
      expect(reply.body).not.toContain(card.path);
    },
  );

  test('says null where the file does not know', async () => {
    const { app, models, engine } = startGateway();
    const unknown = { trainedContextLength: undefined, quantization: undefined };
    models.setReady({ card: { ...card, ...unknown }, engine });
    const reply = await app.inject('/v1/models');
    expect(reply.json().data[0]).toMatchObject({
      trained_context_length: null,
      quantization: null,
    });
    expect(Schema.Check(ModelList, reply.json())).toBe(true);
  });

  test('tells what the model cannot do', async () => {
    const chat = { tools: false, thinking: false, thinksByDefault: false };
    const { app } = startGateway({ engineInfo: { infill: false, chat } });
    expect((await app.inject('/v1/models')).json().data[0].capabilities).toEqual({
      chat: true,
      completion: true,
      tools: false,
      thinking: false,
      infill: false,
      embeddings: true,
      rerank: false,
    });
  });

  test('tells of one that only embeds, and of one that only ranks', async () => {
    const embedding = { pooling: 'cls', width: 8, contextLength: 16 } as const;
    const embeds = startGateway({ engineInfo: { generates: false, embedding } });
    expect((await embeds.app.inject('/v1/models')).json().data[0]).toMatchObject({
      embedding_length: 8,
      capabilities: { chat: false, completion: false, embeddings: true, rerank: false },
    });
    const ranking = { ...embedding, pooling: 'rank' } as const;
    const ranks = startGateway({ engineInfo: { generates: false, embedding: ranking } });
    const list = (await ranks.app.inject('/v1/models')).json();
    expect(Schema.Check(ModelList, list)).toBe(true);
    expect(list.data[0]).toMatchObject({
      embedding_length: null,
      capabilities: { chat: false, completion: false, embeddings: false, rerank: true },
    });
  });

  test('fits the official schema', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app } = startGateway();
    const list = (await app.inject('/v1/models')).json();
    expect(fitsOpenAiSchema('ListModelsResponse', list)).toBe(true);
    expect(fitsOpenAiSchema('Model', list.data[0])).toBe(true);
    expect(fitsOpenAiSchema('Model', { ...list.data[0], object: 'x' })).toBe(false);
  });

  test('says so where the bundled model is served', async () => {
    const { app, models, engine } = startGateway();
    models.setReady({ card: { ...card, bundled: true }, engine });
    const reply = await app.inject('/v1/models');
    expect(reply.json().data[0].bundled).toBe(true);
  });
});

describe('one model', () => {
  test.each(['tiny/story%20model', 'tiny%2Fstory%20model', 'tiny%2Fstory%20model?x=1'])(
    'is found as %s',
    async (id) => {
      const { app } = startGateway();
      const reply = await app.inject(`/v1/models/${id}`);
      expect(reply.statusCode).toBe(200);
      expect(reply.json()).toEqual(served);
    },
  );

  test('can have a long id', async () => {
    const { app, models, engine } = startGateway();
    const id = 'x'.repeat(500);
    models.setReady({ card: { ...card, id }, engine });
    const reply = await app.inject(`/v1/models/${id}`);
    expect(reply.json().id).toBe(id);
  });

  test.each(['gpt-9', 'tiny', 'tiny/story%20model/x', '%00'])('is not found as %s', async (id) => {
    const { app } = startGateway();
    const reply = await app.inject(`/v1/models/${id}`);
    expect(reply.statusCode).toBe(404);
    expect(reply.json().error).toMatchObject({
      type: 'invalid_request_error',
      code: 'model_not_found',
      param: 'model',
    });
  });
});

describe('before there is a model', () => {
  const ask = ['/v1/models', '/v1/models/x'];

  test('everything about it is 503 and says when to come back', async () => {
    const { app } = startGateway({ loading: true });
    const replies = [
      ...(await Promise.all(ask.map((url) => app.inject(url)))),
      await postChat(app),
    ];
    for (const reply of replies) {
      expect(reply.statusCode).toBe(503);
      expect(reply.headers['retry-after']).toBe('2');
      expect(reply.json().error).toMatchObject({ type: 'server_error', code: 'model_loading' });
    }
  });

  test('a request that is wrong anyway hears that first', async () => {
    const { app } = startGateway({ loading: true });
    const reply = await postChat(app, { audio: {} });
    expect(reply.statusCode).toBe(400);
  });

  test('a model that could not be loaded is 503 with a longer wait', async () => {
    const { app, models } = startGateway({ loading: true });
    models.setFailed();
    const replies = [
      ...(await Promise.all(ask.map((url) => app.inject(url)))),
      await postChat(app),
    ];
    for (const reply of replies) {
      expect(reply.statusCode).toBe(503);
      expect(reply.headers['retry-after']).toBe('30');
      expect(reply.json().error.code).toBe('model_failed');
    }
  });

  test('and once there is one, it answers', async () => {
    const { app, models, engine } = startGateway({ loading: true });
    expect((await postChat(app)).statusCode).toBe(503);
    models.setReady({ card, engine });
    expect((await postChat(app)).statusCode).toBe(200);
  });
});
