/** The small endpoints of vLLM and SGLang, as their routers and clients read them. */
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ModelInfo, ServerInfo, WorkerLoads } from '../../src/api/info/sglang-shapes.ts';
import { Load, Sleeping, TokenizerInfo, Version } from '../../src/api/info/vllm-shapes.ts';
import { gate } from '../support/fake-engine.ts';
import { card, postChat, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const modelInfo = {
  model_path: card.id,
  tokenizer_path: card.id,
  is_generation: true,
  preferred_sampling_params: null,
  model_type: 'llama',
  architectures: null,
  has_image_understanding: false,
  has_audio_understanding: false,
};
const serverInfo = {
  model_path: card.id,
  tokenizer_path: card.id,
  served_model_name: card.id,
  is_embedding: false,
  context_length: 2048,
  max_total_num_tokens: 8192,
  max_running_requests: 4,
  dp_size: 1,
  tp_size: 1,
  pp_size: 1,
  version: '0.0.0',
  status: 'ready',
  internal_states: [{}],
};
const tokenizerInfo = {
  tokenizer_class: 'llama.cpp',
  model_max_length: 2048,
  vocab_size: 32_000,
  bos_token: '<s>',
  eos_token: '</s>',
  chat_template: '{{ messages }}',
};
const idle = [{ dp_rank: 0, num_reqs: 0, num_waiting_reqs: 0, num_tokens: 0 }];

test.each([
  ['/model_info', ModelInfo, modelInfo],
  ['/get_model_info', ModelInfo, modelInfo],
  ['/server_info', ServerInfo, serverInfo],
  ['/get_server_info', ServerInfo, serverInfo],
  ['/get_load', WorkerLoads, idle],
  ['/version', Version, { version: '0.0.0' }],
  ['/load', Load, { server_load: 0 }],
  ['/is_sleeping', Sleeping, { is_sleeping: false }],
  ['/tokenizer_info', TokenizerInfo, tokenizerInfo],
] as const)('GET %s', async (url, schema, body) => {
  const { app } = startGateway();
  const reply = await app.inject(url);
  expect(reply.statusCode).toBe(200);
  expect(Schema.Check(schema, reply.json())).toBe(true);
  expect(reply.json()).toEqual(body);
  expect((await app.inject({ method: 'POST', url })).statusCode).toBe(405);
});

test('a model that only embeds says so, and nulls stand for what a file does not have', async () => {
  const { app, models, engine } = startGateway({ engineInfo: { generates: false } });
  expect((await app.inject('/model_info')).json().is_generation).toBe(false);
  expect((await app.inject('/server_info')).json().is_embedding).toBe(true);
  const none = { bosToken: undefined, eosToken: undefined, chatTemplate: undefined };
  models.setReady({ card: { ...card, ...none }, engine });
  const info = (await app.inject('/tokenizer_info')).json();
  expect(info).toMatchObject({ bos_token: null, eos_token: null, chat_template: null });
  expect(Schema.Check(TokenizerInfo, info)).toBe(true);
});

describe('before the model is ready', () => {
  test.each(['/model_info', '/server_info', '/tokenizer_info'])('%s is 503', async (url) => {
    const { app } = startGateway({ loading: true });
    const reply = await app.inject(url);
    expect([reply.statusCode, reply.json().error.code]).toEqual([503, 'model_loading']);
  });

  test.each(['/get_load', '/load', '/version', '/is_sleeping'])('%s is 200', async (url) => {
    const { app } = startGateway({ loading: true });
    expect((await app.inject(url)).statusCode).toBe(200);
  });

  test('/health_generate is 503, and 200 after', async () => {
    const { app, models, engine } = startGateway({ loading: true });
    expect((await app.inject('/health_generate')).statusCode).toBe(503);
    models.setReady({ card, engine });
    expect((await app.inject('/health_generate')).statusCode).toBe(200);
  });
});

test('the load is what runs and waits', async () => {
  const { app, engine } = startGateway({ engineInfo: { slotCount: 1 } });
  const { opened, open } = gate();
  engine.script.beforeEvent = () => opened;
  const replies = [postChat(app), postChat(app), postChat(app)];
  await engine.until(({ preparedChats }) => preparedChats.length === 3);
  await expect
    .poll(async () => (await app.inject('/get_load')).json())
    .toEqual([{ dp_rank: 0, num_reqs: 3, num_waiting_reqs: 2, num_tokens: 0 }]);
  expect((await app.inject('/load')).json()).toEqual({ server_load: 3 });
  open();
  await Promise.all(replies);
});

test('what names the model requires a key that may use it', async () => {
  const authentication = await withKeys(
    `alice:${secrets.alice}\nbob:${secrets.bob} scopes=admin\ncarol:${secrets.carol} models=other`,
  );
  const { app } = startGateway({ authentication });
  for (const url of ['/model_info', '/server_info', '/tokenizer_info']) {
    const statusOf = async (headers: Record<string, string>) =>
      (await app.inject({ url, headers })).statusCode;
    expect(await statusOf({})).toBe(401);
    expect(await statusOf(bearer(secrets.alice))).toBe(200);
    expect(await statusOf(bearer(secrets.bob))).toBe(403);
    expect(await statusOf(bearer(secrets.carol))).toBe(403);
  }
  for (const url of ['/load', '/get_load', '/is_sleeping']) {
    expect((await app.inject(url)).statusCode).toBe(401);
    expect((await app.inject({ url, headers: bearer(secrets.carol) })).statusCode).toBe(200);
  }
  for (const url of ['/version', '/health_generate']) {
    expect((await app.inject(url)).statusCode, url).toBe(200);
  }
});
