import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '../../src/api/chat/chat-shapes.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { parseSse } from '../support/read-sse.ts';
import { postChat, postText, startGateway } from '../support/start-gateway.ts';

describe('several choices', () => {
  test('come in their order, with the prompt counted once', async () => {
    const { app, engine } = startGateway();
    engine.script.cachedTokenCount = 1;
    const one = (await postChat(app)).json().usage;

    const reply = await postChat(app, { n: 3 });

    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(ChatCompletion, reply.json())).toBe(true);
    const { choices, usage } = reply.json() as ChatCompletion;
    expect(choices.map(({ index, message }) => [index, message.content])).toEqual([
      [0, 'Hello world'],
      [1, 'Hello world'],
      [2, 'Hello world'],
    ]);
    expect(usage).toMatchObject({
      prompt_tokens: one.prompt_tokens,
      completion_tokens: 3 * one.completion_tokens,
      total_tokens: one.prompt_tokens + 3 * one.completion_tokens,
      prompt_tokens_details: { cached_tokens: 1 },
    });
    expect(engine.preparedChats).toHaveLength(2);
    const prompts = engine.requests.slice(1).map(({ prompt }) => prompt);
    expect(new Set(prompts).size).toBe(1);
  });

  test('are streamed side by side, each with its own end, and one usage', async () => {
    const { app } = startGateway();
    const reply = await postChat(app, {
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const frames = parseSse(reply.body);
    expect(frames.at(-1)).toBe('done');
    const chunks = frames.flatMap((each) => (each === 'done' ? [] : [each.json]));
    for (const chunk of chunks) expect(Schema.Check(ChatCompletionChunk, chunk)).toBe(true);
    const all = chunks as ChatCompletionChunk[];
    expect(all.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 4 } });
    for (const index of [0, 1]) {
      const mine = all.flatMap(({ choices }) => choices).filter((each) => each.index === index);
      expect(mine.map(({ delta }) => delta)).toEqual([
        { role: 'assistant', content: '', refusal: null },
        { content: 'Hello' },
        { content: ' world' },
        {},
      ]);
      expect(mine.map(({ finish_reason }) => finish_reason)).toEqual([null, null, null, 'stop']);
    }
  });

  test('have seeds of their own, that follow the one that is given', async () => {
    const { app, engine } = startGateway();
    await postChat(app, { n: 3, seed: 7 });
    expect(engine.requests.map(({ sampling }) => sampling?.seed)).toEqual([7n, 8n, 9n]);
    await postChat(app, { n: 2 });
    expect(engine.requests.slice(3).map(({ sampling }) => sampling?.seed)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test('end together when one fails', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 1, error: new GatewayError('sequence_failed') };
    const reply = await postChat(app, { n: 2 });
    expect(reply.statusCode).toBe(500);
    expect(reply.json().error.code).toBe('sequence_failed');
    expect(engine.endings).toHaveLength(2);
  });

  test('that still wait for a slot fail for the reason the first one does', async () => {
    const { app, engine } = startGateway({ engineInfo: { slotCount: 1 } });
    engine.script.failure = { at: 1, error: new GatewayError('sequence_failed') };
    const reply = await postText(app, { prompt: ['one', 'two', 'three'] });
    expect(reply.statusCode).toBe(500);
    expect(reply.json().error.code).toBe('sequence_failed');
    expect(engine.requests).toHaveLength(1);
  });

  test.each([
    [0, 'invalid_value'],
    [129, 'invalid_value'],
    [1.5, 'invalid_value'],
    ['2', 'invalid_value'],
    [5, 'invalid_value'],
  ])('%j of them are refused: the engine has 4 slots', async (n, code) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, { n });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'n', code });
    expect(engine.requests).toEqual([]);
  });
});
