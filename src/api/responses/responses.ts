import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { bodyErrors, completionErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import { InputTokens } from '../chat/chat-shapes.ts';
import { preparePrompt } from '../generation/prompt.ts';
import { type GenerationDeps, replyWithCompletion } from '../generation/reply.ts';
import { ResponseObject, ResponseStreamEvent } from './response-object.ts';
import { newResponse, ResponseFrames, ResponseReply } from './response-reply.ts';
import { readResponse } from './response-request.ts';
import { ResponseRequest } from './response-shapes.ts';

/** OpenAI's Responses API: `POST /v1/responses`, and `POST /v1/responses/input_tokens`. */
export const responses: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  app.post(
    '/v1/responses',
    { schema: { body: ResponseRequest }, attachValidation: true, config: { doc: responseDoc } },
    async (request, reply) => {
      const { parsed, model } = await readResponse(request, deps);
      const { stream } = parsed;
      const { engine } = model;
      const begun = newResponse(parsed, model);
      return replyWithCompletion(
        request,
        reply,
        { ...deps, engine },
        parsed,
        stream
          ? { stream, framer: new ResponseFrames(begun, parsed) }
          : { stream, collector: new ResponseReply(begun, parsed) },
      );
    },
  );

  app.post(
    '/v1/responses/input_tokens',
    { schema: { body: ResponseRequest }, attachValidation: true, config: { doc: countDoc } },
    async (request): Promise<InputTokens> => {
      const { parsed, model } = await readResponse(request, deps);
      const [chat] = parsed.prompts;
      const { tokenCount } = await preparePrompt(model.engine, chat);
      return { object: 'response.input_tokens', input_tokens: tokenCount };
    },
  );
};

const body = {
  name: 'ResponseRequest',
  schema: ResponseRequest,
  example: { model: 'tiny-chat', input: 'Who are you?' },
};

const responseDoc: RouteDoc = {
  operationId: 'createResponse',
  tag: 'Completions',
  summary: 'Answer a conversation of items',
  description:
    'A field that would change the response and is not supported is refused; unknown fields are ignored.',
  body,
  reply: { name: 'Response', schema: ResponseObject },
  chunk: { name: 'ResponseStreamEvent', schema: ResponseStreamEvent },
  errors: completionErrors,
};

const countDoc: RouteDoc = {
  operationId: 'countResponseTokens',
  tag: 'Tokens',
  summary: 'Count the tokens of a conversation of items',
  body,
  reply: {
    name: 'InputTokens',
    schema: InputTokens,
    example: { object: 'response.input_tokens', input_tokens: 13 },
  },
  errors: [
    ...bodyErrors,
    ...modelErrors,
    'unsupported_parameter',
    'bad_request',
    'model_not_found',
  ],
};
