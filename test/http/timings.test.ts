import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '../../src/api/chat/chat-shapes.ts';
import { Completion, CompletionChunk } from '../../src/api/text/completion-shapes.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { parseSse } from '../support/read-sse.ts';
import { postChat, postText, startGateway } from '../support/start-gateway.ts';

describe('timings', () => {
  test.each([
    ['a chat', postChat, { messages: [{ role: 'user', content: 'one two three four' }] }],
    ['a text completion', postText, { prompt: 'one two three four' }],
  ] as const)('of %s are those llama-server would give', async (_what, post, body) => {
    const { app, engine } = startGateway();
    engine.script.parts = ['a', 'b', 'c', 'd', 'e'];
    engine.script.cachedTokenCount = 1;
    engine.script.timings = { queueMs: 7, prefillMs: 60, decodeMs: 80 };
    const reply = await post(app, body);
    expect(reply.json().timings).toEqual({
      cache_n: 1,
      prompt_n: 3,
      prompt_ms: 60,
      prompt_per_token_ms: 20,
      prompt_per_second: 50,
      predicted_n: 5,
      predicted_ms: 80,
      predicted_per_token_ms: 20,
      predicted_per_second: 50,
    });
  });

  test('of several choices add up the tokens and take the time of the slowest', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = ['a', 'b', 'c'];
    let prefillMs = 10;
    engine.script.beforeEvent = (index) => {
      if (index === 3) {
        prefillMs *= 2;
        engine.script.timings = { queueMs: 0, prefillMs, decodeMs: 200 - prefillMs };
      }
      return undefined;
    };
    const reply = await postText(app, { prompt: ['a b c d', 'e f g h'], n: 2 });
    expect(reply.json().timings).toMatchObject({
      prompt_n: 8,
      prompt_ms: 160,
      predicted_n: 12,
      predicted_ms: 180,
      // Of 12 tokens 4 came with their prompts.
      predicted_per_token_ms: 22.5,
    });
  });

  test('are 0 where there is nothing to divide by', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = ['a'];
    engine.script.cachedTokenCount = 4;
    const { timings } = (await postText(app, { prompt: 'a b c d' })).json();
    expect(timings).toMatchObject({ cache_n: 4, prompt_n: 0, predicted_n: 1 });
    for (const name of ['prompt', 'predicted']) {
      expect(timings[`${name}_per_token_ms`]).toBe(0);
      expect(timings[`${name}_per_second`]).toBe(0);
    }
  });

  test.each([{}, { stream_options: { include_usage: true } }])(
    'come with the last chunk of a stream alone: %j',
    async (fields) => {
      const { app } = startGateway();
      for (const post of [postChat, postText]) {
        const frames = parseSse((await post(app, { n: 2, stream: true, ...fields })).body);
        expect(frames.at(-1)).toBe('done');
        const chunks = frames.slice(0, -1).map((frame) => (frame === 'done' ? {} : frame.json));
        const places = chunks.flatMap((chunk, index) =>
          Object.hasOwn(chunk as object, 'timings') ? [index] : [],
        );
        expect(places).toEqual([chunks.length - 1]);
        expect(chunks.at(-1)).toMatchObject({ timings: { predicted_n: 4 } });
        const schema = post === postChat ? ChatCompletionChunk : CompletionChunk;
        for (const chunk of chunks) expect(Schema.Check(schema, chunk)).toBe(true);
      }
    },
  );

  test('leave replies and chunks within the official schemas', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app } = startGateway();
    const chat = (await postChat(app)).json();
    const text = (await postText(app)).json();
    expect(Schema.Check(ChatCompletion, chat)).toBe(true);
    expect(Schema.Check(Completion, text)).toBe(true);
    expect(fitsOpenAiSchema('CreateChatCompletionResponse', chat)).toBe(true);
    expect(fitsOpenAiSchema('CreateCompletionResponse', text)).toBe(true);
    for (const frame of parseSse((await postChat(app, { stream: true })).body)) {
      if (frame === 'done') continue;
      expect(fitsOpenAiSchema('CreateChatCompletionStreamResponse', frame.json)).toBe(true);
    }
  });
});
