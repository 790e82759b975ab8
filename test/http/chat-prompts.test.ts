import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { InputTokens, RenderedPrompt } from '../../src/api/chat/chat-shapes.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { card, chatBody, startGateway } from '../support/start-gateway.ts';

const paths = ['/apply-template', '/v1/chat/completions/input_tokens'] as const;
const post = (app: Gateway, url: string, fields: Record<string, unknown> = {}) =>
  app.inject({ method: 'POST', url, payload: chatBody(fields) });

/** Everything of a chat that reaches its prompt. */
const chat = {
  tools: [{ type: 'function', function: { name: 'f' } }],
  tool_choice: 'required',
  chat_template_kwargs: { enable_thinking: true, mood: 'calm' },
};
const chatInEngineWords = {
  tools: [{ name: 'f' }],
  toolChoice: 'required',
  thinking: true,
  templateArguments: { mood: 'calm' },
};

test('/apply-template gives the text of the prompt', async () => {
  const { app, engine } = startGateway();
  const reply = await post(app, '/apply-template', chat);
  expect(reply.statusCode, reply.body).toBe(200);
  expect(Schema.Check(RenderedPrompt, reply.json())).toBe(true);
  expect(reply.json()).toEqual({ prompt: 'user: Tell a story\n' });
  expect(engine.chatOptions).toEqual([chatInEngineWords]);
  expect(engine.requests).toEqual([]);
});

test('/apply-template names what stands otherwise in the prompt', async () => {
  const { app } = startGateway();
  const system = { role: 'system', content: 'Be brief.' };
  const messages = [system, system, { role: 'user', content: 'Tell a story' }];
  const reply = await post(app, '/apply-template', { messages });
  expect(reply.json()).toMatchObject({ changes: ['system-joined'] });
  expect(Schema.Check(RenderedPrompt, reply.json())).toBe(true);
});

describe('/v1/chat/completions/input_tokens', () => {
  test('counts what a completion counts', async () => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/v1/chat/completions/input_tokens', { ...chat, stream: true });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Schema.Check(InputTokens, reply.json())).toBe(true);
    expect(reply.json()).toEqual({ object: 'response.input_tokens', input_tokens: 3 });
    expect(engine.chatOptions).toEqual([chatInEngineWords]);
    expect(engine.requests).toEqual([]);
    const completion = await post(app, '/v1/chat/completions');
    expect(completion.json().usage.prompt_tokens).toBe(3);
  });

  test('fits the official schema', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app } = startGateway();
    const reply = await post(app, '/v1/chat/completions/input_tokens');
    expect(fitsOpenAiSchema('TokenCountsResource', reply.json())).toBe(true);
    expect(fitsOpenAiSchema('TokenCountsResource', { input_tokens: 'x' })).toBe(false);
  });
});

describe.each(paths)('%s', (path) => {
  test.each([
    [{ messages: [] }, 'messages', 'invalid_value'],
    [{ messages: [{ role: 'king', content: '' }] }, 'messages[0].role', 'invalid_value'],
    [{ messages: [{ role: 'user', content: '\ud800' }] }, 'messages[0].content', 'invalid_value'],
    [{ temperature: 101 }, 'temperature', 'invalid_value'],
    [{ top_logprobs: 3 }, 'top_logprobs', 'invalid_value'],
    [
      { chat_template_kwargs: { messages: [] } },
      'chat_template_kwargs.messages',
      'unsupported_parameter',
    ],
    [{ tool_choice: 'required' }, 'tool_choice', 'invalid_value'],
  ])('refuses %j as a completion does', async (fields, param, code) => {
    const { app, engine } = startGateway();
    const reply = await post(app, path, fields);
    const completion = await post(app, '/v1/chat/completions', fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json()).toEqual(completion.json());
    expect(reply.json().error).toMatchObject({ param, code });
    expect(engine.preparedChats).toEqual([]);
  });

  test('refuses tools that the template has no place for', async () => {
    const abilities = { tools: false, thinking: false, thinksByDefault: false };
    const { app } = startGateway({ engineInfo: { chat: abilities } });
    const reply = await post(app, path, chat);
    expect(reply.json().error).toMatchObject({ param: 'tools', code: 'unsupported_parameter' });
  });

  test('wants the served model when models are strict, and any model at all', async () => {
    const strict = startGateway({ strictModel: true });
    expect((await post(strict.app, path, { model: 'gpt-9' })).statusCode).toBe(404);
    expect((await post(strict.app, path, { model: card.id })).statusCode).toBe(200);
    const loading = startGateway({ loading: true });
    expect((await post(loading.app, path)).json().error.code).toBe('model_loading');
  });

  test('names unknown fields in a debug line', async () => {
    const { app, logLines } = startGateway();
    await post(app, path, { zeal: 11 });
    expect(logLines).toContainEqual(expect.objectContaining({ level: 20, fields: ['zeal'] }));
  });
});
