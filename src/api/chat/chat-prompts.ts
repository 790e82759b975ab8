import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { bodyErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelChoice } from '../fields/served-model.ts';
import { InputTokens, RenderedPrompt } from '../text/token-shapes.ts';
import { readChat } from './chat-completions.ts';
import { ChatCompletionRequest } from './chat-shapes.ts';

/**
 * What a chat becomes before anything is generated: `POST /apply-template` shows its text, `POST
 * /v1/chat/completions/input_tokens` counts its tokens. Both take the body of a chat completion, and
 * refuse what that refuses.
 */
export const chatPrompts: FastifyPluginAsyncTypebox<ModelChoice> = async (app, choice) => {
  const schema = { body: ChatCompletionRequest };

  app.post(
    '/apply-template',
    { schema, config: { doc: renderingDoc } },
    async (request): Promise<RenderedPrompt> => {
      const { reading, generator } = readChat(request.body, choice, request.log);
      return { prompt: await generator.renderChat(reading.messages, reading.chat) };
    },
  );

  app.post(
    '/v1/chat/completions/input_tokens',
    { schema, config: { doc: countingDoc } },
    async (request): Promise<InputTokens> => {
      const { reading, generator } = readChat(request.body, choice, request.log);
      const { tokenCount } = await generator.prepareChat(reading.messages, reading.chat);
      return { object: 'response.input_tokens', input_tokens: tokenCount };
    },
  );
};

const body = {
  name: 'ChatCompletionRequest',
  schema: ChatCompletionRequest,
  example: { messages: [{ role: 'user', content: 'Who are you?' }] },
};
const errors = [
  ...bodyErrors,
  ...modelErrors,
  'unsupported_parameter',
  'bad_request',
  'model_not_found',
] as const;

const renderingDoc: RouteDoc = {
  operationId: 'applyTemplate',
  tag: 'Tokens',
  summary: 'Show the text a chat becomes',
  body,
  reply: {
    name: 'RenderedPrompt',
    schema: RenderedPrompt,
    example: { prompt: '<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n' },
  },
  errors,
};

const countingDoc: RouteDoc = {
  operationId: 'countChatTokens',
  tag: 'Tokens',
  summary: 'Count the tokens of a chat',
  body,
  reply: {
    name: 'InputTokens',
    schema: InputTokens,
    example: { object: 'response.input_tokens', input_tokens: 13 },
  },
  errors,
};
