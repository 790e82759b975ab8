import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { bodyErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelChoice } from '../fields/served-model.ts';
import { preparePrompt } from '../generation/prompt.ts';
import { readChat } from './chat-request.ts';
import { ChatCompletionRequest, InputTokens, RenderedPrompt } from './chat-shapes.ts';

/**
 * The prompt of a chat, without a completion: `POST /apply-template` returns its text, `POST
 * /v1/chat/completions/input_tokens` counts its tokens. Both take the body of a chat completion, and refuse the
 * same bodies.
 */
export const chatPrompts: FastifyPluginAsyncTypebox<ModelChoice> = async (app, choice) => {
  const route = { schema: { body: ChatCompletionRequest }, attachValidation: true };

  app.post(
    '/apply-template',
    { ...route, config: { doc: renderingDoc } },
    async (request): Promise<RenderedPrompt> => {
      const { parsed, model } = await readChat(request, choice);
      const [{ messages, options }] = parsed.prompts;
      const { generator } = model.engine;
      const [prompt, changes] = await Promise.all([
        generator.renderChat(messages, options),
        generator.chatChanges(messages, options),
      ]);
      return { prompt, ...(changes.length > 0 && { changes: [...changes] }) };
    },
  );

  app.post(
    '/v1/chat/completions/input_tokens',
    { ...route, config: { doc: countingDoc } },
    async (request): Promise<InputTokens> => {
      const { parsed, model } = await readChat(request, choice);
      const [chat] = parsed.prompts;
      const { tokenCount } = await preparePrompt(model.engine, chat);
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
  summary: 'Render the prompt of a chat',
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
