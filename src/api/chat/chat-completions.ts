import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { completionErrors, type RouteDoc } from '../../core/route-doc.ts';
import { type GenerationDeps, type ReplyForm, replyWithCompletion } from '../generation/reply.ts';
import { ReplyFrames } from '../generation/reply-frames.ts';
import { newReplyHead, type ReplyHead } from '../generation/reply-head.ts';
import { exampleTimings } from '../generation/timings.ts';
import { exampleUsage } from '../generation/usage.ts';
import { type ChatForm, ChatReply, chatChunks, chatOpening } from './chat-reply.ts';
import { type ParsedChat, readChat } from './chat-request.ts';
import { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from './chat-shapes.ts';
import { withReasoningIn } from './reasoning-place.ts';

/** The field in which replies have their reasoning. */
export type ReasoningField = 'reasoning_content' | 'reasoning' | 'both';

export interface ChatDeps extends GenerationDeps {
  readonly reasoningField: ReasoningField;
}

/** `POST /v1/chat/completions`. */
export const chatCompletions: FastifyPluginAsyncTypebox<ChatDeps> = async (app, deps) => {
  app.post(
    '/v1/chat/completions',
    { schema: { body: ChatCompletionRequest }, attachValidation: true, config: { doc } },
    async (request, reply) => {
      const { parsed, model } = await readChat(request, deps);
      const head = newReplyHead('chatcmpl', model, deps.version, parsed.serviceTier);
      const { engine } = model;
      const form = formOf(parsed, head, deps.reasoningField);
      return replyWithCompletion(request, reply, { ...deps, engine }, parsed, form);
    },
  );
};

const head = {
  id: 'chatcmpl-0123456789abcdef',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'tiny-chat',
  system_fingerprint: 'fp_0123456789',
};

const doc: RouteDoc = {
  operationId: 'createChatCompletion',
  tag: 'Completions',
  summary: 'Answer a chat',
  description:
    'A field that would change the completion and is not supported is refused with `unsupported_parameter`; unknown fields are ignored.',
  body: {
    name: 'ChatCompletionRequest',
    schema: ChatCompletionRequest,
    example: { messages: [{ role: 'user', content: 'Who are you?' }], temperature: 0 },
  },
  reply: {
    name: 'ChatCompletion',
    schema: ChatCompletion,
    example: {
      ...head,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'I am tiny-chat.', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: exampleUsage,
      timings: exampleTimings,
    },
  },
  chunk: { name: 'ChatCompletionChunk', schema: ChatCompletionChunk },
  errors: completionErrors,
};

function formOf(parsed: ParsedChat, head: ReplyHead, reasoningField: ReasoningField): ReplyForm {
  const { stream, choiceCount, includeUsage, extras, echo } = parsed;
  const field = parsed.wantsReasoningField ? 'both' : reasoningField;
  const form: ChatForm = {
    reasoningFields: field === 'both' ? ['reasoning_content', 'reasoning'] : [field],
    callsFunctions: parsed.callsFunctions,
  };
  const place = parsed.reasoningPlace;
  if (!stream)
    return withReasoningIn(place, { stream, collector: new ChatReply(head, form, parsed) });
  const openings = Array.from({ length: choiceCount }, () => chatOpening(echo));
  const chunks = chatChunks(form, extras.tokenForm);
  const framer = new ReplyFrames(head, chunks, { openings, includeUsage, extras });
  return withReasoningIn(place, { stream, framer });
}
