import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Drain } from '../drain.ts';
import type { ReplyDelta, TokenUsage } from '../engine/engine.ts';
import { GatewayError } from '../errors.ts';
import { abortOnDisconnect, ClientGone } from './disconnect.ts';
import {
  type CompletionEvent,
  type CompletionFinishReason,
  type Generation,
  generate,
} from './generation.ts';
import type { ModelChoice } from './served-model.ts';
import { errorFrame, FrameStream, streamHeaders } from './sse.ts';

/** What the endpoints that generate need from their surroundings. */
export interface GenerationDeps extends ModelChoice {
  readonly drain: Drain;
  /** Of this program. */
  readonly version: string;
}

/** Puts a whole reply together. */
export interface ReplyCollector {
  add(choice: number, delta: ReplyDelta): void;
  end(choice: number, finishReason: CompletionFinishReason): void;
  build(usage: TokenUsage): object;
}

/** Puts the frames of a stream together. */
export interface ReplyFramer {
  /** What comes before the first event; may be empty. */
  opening(): string;
  of(event: CompletionEvent): string;
}

/** The form a request wants its reply in. */
export type ReplyForm =
  | { readonly stream: false; readonly collector: ReplyCollector }
  | { readonly stream: true; readonly framer: ReplyFramer };

type CompletionEvents = AsyncGenerator<CompletionEvent, void, undefined>;

/**
 * Generates what a request asks for and answers with it, whole or as a stream. Ends with the client.
 * @returns what a route handler returns
 * @throws what goes wrong before the first frame; later failures become the last frame
 */
export async function generateReply(
  request: FastifyRequest,
  reply: FastifyReply,
  generation: Omit<Generation, 'controller' | 'trace' | 'log'>,
  form: ReplyForm,
): Promise<object> {
  const { log, trace } = request;
  const controller = abortOnDisconnect(request, reply);
  const events = generate({ ...generation, controller, trace, log });
  try {
    if (!form.stream) return await collect(events, form.collector);
    const frames = toFrames(events, form.framer, request);
    // The first event decides between a stream and a plain error.
    const opening = await frames.next();
    return reply
      .headers(streamHeaders)
      .type('text/event-stream')
      .send(new FrameStream(opening.value ?? '', frames, controller.signal));
  } catch (error) {
    if (!(error instanceof ClientGone)) throw error;
    log.debug('client left');
    return reply.hijack();
  }
}

async function collect(events: CompletionEvents, collector: ReplyCollector): Promise<object> {
  for await (const event of events) {
    if (event.type === 'completion-end') return collector.build(event.usage);
    if (event.type === 'delta') collector.add(event.choice, event.delta);
    else collector.end(event.choice, event.finishReason);
  }
  throw new GatewayError('engine_failed');
}

/** Throws what goes wrong before the first frame; later failures become the last frame. */
async function* toFrames(
  events: CompletionEvents,
  framer: ReplyFramer,
  { log, trace }: FastifyRequest,
): AsyncGenerator<string, void, undefined> {
  const counted = (text: string) => {
    trace.sentBytes += Buffer.byteLength(text);
    return text;
  };
  let begun = false;
  try {
    for await (const event of events) {
      if (!begun) {
        begun = true;
        yield counted(framer.opening());
      }
      yield counted(framer.of(event));
    }
  } catch (error) {
    if (!begun) throw error;
    if (error instanceof ClientGone) {
      log.debug('client left');
      return;
    }
    const failure =
      error instanceof GatewayError ? error : new GatewayError('internal_error', { cause: error });
    trace.failure ??= failure.code;
    log.error({ code: failure.code, err: failure.cause ?? failure }, 'stream failed');
    yield errorFrame(failure);
  }
}
