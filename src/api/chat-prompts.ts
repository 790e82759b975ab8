import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { readChat } from './chat-completions.ts';
import { ChatCompletionRequest } from './schemas/chat-completions.ts';
import type { InputTokens, RenderedPrompt } from './schemas/tokens.ts';
import type { ModelChoice } from './served-model.ts';

/**
 * What a chat becomes before anything is generated: `POST /apply-template` shows its text, `POST
 * /v1/chat/completions/input_tokens` counts its tokens. Both take the body of a chat completion, and
 * refuse what that refuses.
 */
export const chatPrompts: FastifyPluginAsyncTypebox<ModelChoice> = async (app, choice) => {
  const schema = { body: ChatCompletionRequest };

  app.post('/apply-template', { schema }, async (request): Promise<RenderedPrompt> => {
    const { reading, model } = readChat(request.body, choice, request.log);
    return { prompt: await model.engine.renderChat(reading.messages, reading.chat) };
  });

  app.post(
    '/v1/chat/completions/input_tokens',
    { schema },
    async (request): Promise<InputTokens> => {
      const { reading, model } = readChat(request.body, choice, request.log);
      const { tokenCount } = await model.engine.prepareChat(reading.messages, reading.chat);
      return { object: 'response.input_tokens', input_tokens: tokenCount };
    },
  );
};
