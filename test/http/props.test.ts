import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { Props, Slots } from '../../src/api/info/props-shapes.ts';
import { card, postChat, startGateway } from '../support/start-gateway.ts';

const forever = new Promise<void>(() => {});

describe('/props', () => {
  test('tells what llama-server’s clients read, and no path', async () => {
    const { app } = startGateway();
    const reply = await app.inject('/props');
    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(Props, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      default_generation_settings: {
        n_ctx: 2048,
        params: { temperature: 0.8, samplers: ['top_k', 'temperature'] },
      },
      total_slots: 4,
      model_alias: card.id,
      model_path: 'tiny.gguf',
      model_ftype: 'Q8_0',
      modalities: { vision: false, video: false, audio: false },
      capabilities: {
        chat: true,
        completion: true,
        tools: true,
        thinking: true,
        infill: true,
        embeddings: true,
        rerank: false,
      },
      endpoint_slots: true,
      endpoint_props: false,
      chat_template: '{{ messages }}',
      bos_token: '<s>',
      eos_token: '</s>',
      build_info: 'llama-gguf-inference 0.0.0',
    });
  });

  test('has empty texts for what the model does not have', async () => {
    const { app, models, engine } = startGateway();
    const absent = {
      quantization: undefined,
      chatTemplate: undefined,
      bosToken: undefined,
      eosToken: undefined,
    };
    models.setReady({ card: { ...card, ...absent }, engine });
    expect((await app.inject('/props')).json()).toMatchObject({
      model_ftype: '',
      chat_template: '',
      bos_token: '',
      eos_token: '',
    });
  });

  test('cannot be changed', async () => {
    const { app } = startGateway();
    const reply = await app.inject({ method: 'POST', url: '/props', payload: {} });
    expect(reply.statusCode).toBe(405);
  });
});

describe('/slots', () => {
  test('shows speculative decoding', async () => {
    const { app } = startGateway({ engineInfo: { speculative: 'ngram' } });
    const slots = (await app.inject('/slots')).json() as Slots;
    expect(slots.map(({ speculative }) => speculative)).toEqual([true, true, true, true]);
  });

  const working = (body: unknown) =>
    (body as Slots).map(({ is_processing }) => is_processing).filter(Boolean).length;

  test('shows as many at work as sequences run', async () => {
    const { app, engine, drain } = startGateway();
    const idle = (await app.inject('/slots')).json();
    expect(Schema.Check(Slots, idle)).toBe(true);
    expect(idle).toHaveLength(4);
    expect(idle[3]).toEqual({ id: 3, n_ctx: 2048, speculative: false, is_processing: false });

    engine.script.beforeEvent = () => forever;
    const running = postChat(app, { n: 3 });
    await engine.until(() => engine.stats().runningCount === 3);
    expect(working((await app.inject('/slots')).json())).toBe(3);
    expect((await app.inject('/slots?fail_on_no_slot=1')).statusCode).toBe(200);

    const last = postChat(app);
    await engine.until(() => engine.stats().runningCount === 4);
    const full = await app.inject('/slots?fail_on_no_slot=1');
    expect(full.statusCode).toBe(503);
    expect(full.headers['retry-after']).toBe('5');
    expect(full.json().error.code).toBe('queue_full');
    expect(working((await app.inject('/slots')).json())).toBe(4);
    expect((await app.inject('/slots?fail_on_no_slot=')).statusCode).toBe(200);

    await drain.finish(0);
    await Promise.all([running, last]);
    expect(working((await app.inject('/slots')).json())).toBe(0);
  });
});

test.each(['/props', '/slots'])('%s is 503 without a model', async (url) => {
  const { app } = startGateway({ loading: true });
  const reply = await app.inject(url);
  expect(reply.statusCode).toBe(503);
  expect(reply.json().error.code).toBe('model_loading');
});
