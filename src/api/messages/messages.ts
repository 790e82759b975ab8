import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { bodyErrors, completionErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import { preparePrompt } from '../generation/prompt.ts';
import { type GenerationDeps, replyWithCompletion } from '../generation/reply.ts';
import { MessageFrames, MessageReply, newMessageHead } from './message-reply.ts';
import { readMessage } from './message-request.ts';
import {
  Message,
  MessageRequest,
  MessageStreamEvent,
  MessageTokensCount,
} from './message-shapes.ts';

/** Anthropic's API: `POST /v1/messages`, and `POST /v1/messages/count_tokens`. */
export const messages: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  app.post(
    '/v1/messages',
    { schema: { body: MessageRequest }, attachValidation: true, config: { doc: messageDoc } },
    async (request, reply) => {
      const { parsed, model } = await readMessage(request, deps);
      const { stream, omitsThinking } = parsed;
      const { engine } = model;
      const head = newMessageHead(model, request.id, omitsThinking);
      return replyWithCompletion(
        request,
        reply,
        { ...deps, engine },
        parsed,
        stream
          ? { stream, framer: new MessageFrames(head) }
          : { stream, collector: new MessageReply(head) },
      );
    },
  );

  app.post(
    '/v1/messages/count_tokens',
    { schema: { body: MessageRequest }, attachValidation: true, config: { doc: countDoc } },
    async (request): Promise<MessageTokensCount> => {
      const { parsed, model } = await readMessage(request, deps);
      const [chat] = parsed.prompts;
      const { tokenCount } = await preparePrompt(model.engine, chat);
      return { input_tokens: tokenCount };
    },
  );
};

const body = {
  name: 'MessageRequest',
  schema: MessageRequest,
  example: {
    model: 'tiny-chat',
    max_tokens: 256,
    messages: [{ role: 'user', content: 'Who are you?' }],
  },
};

const messageDoc: RouteDoc = {
  operationId: 'createMessage',
  tag: 'Completions',
  summary: 'Answer a conversation, in the form of Anthropic’s API',
  description:
    'Errors have the form of Anthropic’s API. A field that would change the reply and is not supported is refused; unknown fields are ignored.',
  body,
  reply: { name: 'Message', schema: Message },
  chunk: { name: 'MessageStreamEvent', schema: MessageStreamEvent },
  errors: completionErrors,
};

const countDoc: RouteDoc = {
  operationId: 'countMessageTokens',
  tag: 'Tokens',
  summary: 'Count the tokens of a conversation, in the form of Anthropic’s API',
  body,
  reply: {
    name: 'MessageTokensCount',
    schema: MessageTokensCount,
    example: { input_tokens: 13 },
  },
  errors: [
    ...bodyErrors,
    ...modelErrors,
    'unsupported_parameter',
    'bad_request',
    'model_not_found',
  ],
};
