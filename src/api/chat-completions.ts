import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger } from 'fastify';
import type { Drain } from '../drain.ts';
import type { ChatAbilities, ChatOptions } from '../engine/engine.ts';
import { GatewayError } from '../errors.ts';
import type { ModelRegistry, ServedModel } from '../model/registry.ts';
import { abortOnDisconnect, ClientGone } from './disconnect.ts';
import { type CompletionEvent, generateChat } from './generation.ts';
import { modelNotFound } from './models.ts';
import { ChatCompletionRequest } from './schemas/chat-completions.ts';
import {
  ChatFrames,
  ChatMessageBuilder,
  newReplyHead,
  type ReplyHead,
  toChatCompletion,
} from './schemas/chat-reply.ts';
import { readChatRequest } from './schemas/chat-request.ts';
import { requireTokens } from './schemas/sampling.ts';
import { unknownFields } from './schemas/unsupported-parameters.ts';
import { errorFrame, FrameStream, streamHeaders } from './sse.ts';

/** What the endpoint needs from its surroundings. */
export interface ChatCompletionsOptions {
  readonly models: ModelRegistry;
  readonly drain: Drain;
  /** Refuse a `model` other than the served one, instead of ignoring the field. */
  readonly strictModel: boolean;
  /** Of this program. */
  readonly version: string;
}

type CompletionEvents = AsyncGenerator<CompletionEvent, void, undefined>;

/** `POST /v1/chat/completions`. */
export const chatCompletions: FastifyPluginAsyncTypebox<ChatCompletionsOptions> = async (
  app,
  { models, drain, strictModel, version },
) => {
  app.post(
    '/v1/chat/completions',
    { schema: { body: ChatCompletionRequest } },
    async (request, reply) => {
      const { log } = request;
      logUnknownFields(request.body, log);
      const { messages, chat, options, ...reading } = readChatRequest(request.body);
      const model = models.require();
      if (strictModel) requireServed(reading.model, model);
      requireAbilities(chat, model.engine.info.chat);
      requireTokens(options.sampling ?? {}, model.engine.info.vocabularySize);

      const controller = abortOnDisconnect(request, reply);
      const { engine } = model;
      const events = generateChat({ engine, messages, chat, options, drain, controller, log });
      const head = newReplyHead(model, version);
      try {
        if (!reading.stream) return await collect(events, head);
        const frames = toFrames(events, new ChatFrames(head, reading.includeUsage), log);
        // The first event decides between a stream and a plain error.
        const opening = await frames.next();
        return reply
          .headers(streamHeaders)
          .type('text/event-stream')
          .send(new FrameStream(opening.value ?? '', frames, controller.signal));
      } catch (error) {
        if (!(error instanceof ClientGone)) throw error;
        log.info('client left');
        return reply.hijack();
      }
    },
  );
};

function logUnknownFields(body: object, log: FastifyBaseLogger): void {
  const fields = unknownFields(body, ChatCompletionRequest.properties);
  if (fields.length > 0) log.debug({ fields }, 'unknown fields ignored');
}

function requireServed(requested: string | undefined, model: ServedModel): void {
  if (requested === undefined) {
    throw new GatewayError('missing_required_parameter', {
      param: 'model',
      message: '`model` is required.',
    });
  }
  if (requested !== model.card.id) throw modelNotFound(requested, model);
}

/** A template without a place for tools would leave them out in silence. */
function requireAbilities(chat: ChatOptions, abilities: ChatAbilities): void {
  if (abilities.tools || chat.tools === undefined || chat.toolChoice === 'none') return;
  throw new GatewayError('unsupported_parameter', {
    param: 'tools',
    message: '`tools` is not supported by this model: its chat template has no place for them.',
  });
}

async function collect(events: CompletionEvents, head: ReplyHead) {
  const message = new ChatMessageBuilder();
  for await (const event of events) {
    if (event.type !== 'completion-end') message.add(event);
    else return toChatCompletion(head, message.build(), event.finishReason, event.usage);
  }
  throw new GatewayError('engine_failed');
}

/** Throws what goes wrong before the first frame; later failures become the last frame. */
async function* toFrames(
  events: CompletionEvents,
  frames: ChatFrames,
  log: FastifyBaseLogger,
): AsyncGenerator<string, void, undefined> {
  let begun = false;
  try {
    for await (const event of events) {
      if (!begun) {
        begun = true;
        yield frames.role();
      }
      if (event.type !== 'completion-end') yield frames.delta(event);
      else yield frames.end(event.finishReason, event.usage);
    }
  } catch (error) {
    if (!begun) throw error;
    if (error instanceof ClientGone) {
      log.info('client left');
      return;
    }
    const failure =
      error instanceof GatewayError ? error : new GatewayError('internal_error', { cause: error });
    log.error({ code: failure.code, err: failure.cause ?? failure }, 'stream failed');
    yield errorFrame(failure);
  }
}
