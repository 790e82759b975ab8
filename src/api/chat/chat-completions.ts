import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import { completionErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ChatCapabilities, ChatOptions } from '../../engine/chat.ts';
import type { Generator } from '../../engine/generator.ts';
import type { ServedModel } from '../../model/registry.ts';
import {
  chooseModel,
  logUnknownFields,
  type ModelChoice,
  requireGenerator,
  requireServable,
} from '../fields/served-model.ts';
import { type GenerationDeps, generateReply, type ReplyForm } from '../generation/reply.ts';
import { ReplyFrames } from '../generation/reply-frames.ts';
import { newReplyHead, type ReplyHead } from '../generation/reply-head.ts';
import { exampleTimings } from '../generation/timings.ts';
import { exampleUsage } from '../generation/usage.ts';
import { ChatReply, chatChunks, chatOpening } from './chat-reply.ts';
import { type ChatRequest, readChatRequest } from './chat-request.ts';
import { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from './chat-shapes.ts';

/** `POST /v1/chat/completions`. */
export const chatCompletions: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  app.post(
    '/v1/chat/completions',
    { schema: { body: ChatCompletionRequest }, config: { doc } },
    async (request, reply) => {
      const { reading, model, generator } = readChat(request.body, deps, request.log);
      const { messages, chat, options, choiceCount, priority } = reading;
      requireServable(reading, model);
      const { info } = model.engine;
      const prepare = async () => [await generator.prepareChat(messages, chat)];
      return generateReply(
        request,
        reply,
        { ...deps, generator, info, prepare, options, choiceCount, priority },
        replyForm(newReplyHead('chatcmpl', model, deps.version, reading.serviceTier), reading),
      );
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
    'Fields that would change the completion and are not honoured are refused with `unsupported_parameter`; others that are unknown are ignored.',
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

/**
 * Reads the body of a chat, and chooses the model to answer it with.
 * @throws {GatewayError} what `readChatRequest` and `requireGenerator` throw, and `unsupported_parameter` for
 *   tools that the template would leave out in silence
 */
export function readChat(
  body: ChatCompletionRequest,
  choice: ModelChoice,
  log: FastifyBaseLogger,
): {
  readonly reading: ChatRequest;
  readonly model: ServedModel;
  readonly generator: Generator;
} {
  logUnknownFields(body, ChatCompletionRequest.properties, log);
  const reading = readChatRequest(body);
  const model = chooseModel(choice, reading.model);
  const generator = requireGenerator(model);
  requireCapabilities(reading.chat, model.engine.info.chat);
  return { reading, model, generator };
}

function requireCapabilities(chat: ChatOptions, capabilities: ChatCapabilities): void {
  if (capabilities.tools || chat.tools === undefined || chat.toolChoice === 'none') return;
  throw new GatewayError('unsupported_parameter', {
    param: 'tools',
    message: '`tools` is not supported by this model: its chat template has no place for them.',
  });
}

function replyForm(head: ReplyHead, request: ChatRequest): ReplyForm {
  const { stream, choiceCount, includeUsage, options } = request;
  const withLogprobs = options.logprobs !== undefined;
  if (!stream) return { stream, collector: new ChatReply(head, { choiceCount, withLogprobs }) };
  const openings = Array.from({ length: choiceCount }, () => chatOpening);
  return { stream, framer: new ReplyFrames(head, chatChunks, { openings, includeUsage }) };
}
