import type { FastifyReply, FastifyRequest } from 'fastify';
import { unlimitedMeter } from '../../access/limits/token-meter.ts';
import { noRecorder } from '../../access/usage/usage-recorder.ts';
import type { Admission } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import { GatewayError } from '../../core/errors.ts';
import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { ModelChoice } from '../fields/served-model.ts';
import { abortOnDisconnect, ClientGone } from './disconnect.ts';
import { fairShareKeyOf, priorityOf } from './fair-share.ts';
import {
  type CompletionEvent,
  type CompletionEvents,
  type CompletionTotals,
  type Generation,
  generate,
} from './generation.ts';
import { errorFrame, FrameStream, pingFrame, pingIntervalMs, streamHeaders } from './sse.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Milliseconds a completion may take, its stream included; 0 is without limit. */
    readonly generationTimeoutMs: number;
  }
}

/** What the endpoints that generate need from their surroundings. */
export interface GenerationDeps extends ModelChoice {
  readonly drain: Drain;
  readonly admission: Admission;
  /** Of this program. */
  readonly version: string;
}

/** Puts a whole reply together. */
export interface ReplyCollector {
  /** The next tokens of a choice's prompt; only where the request asks for them. */
  addPrompt?(choice: number, tokens: readonly TokenLogprob[]): void;
  add(choice: number, delta: ReplyDelta): void;
  end(end: ChoiceEnd): void;
  build(totals: CompletionTotals): object;
}

/** How one choice ended. */
export type ChoiceEnd = Extract<CompletionEvent, { type: 'choice-end' }>;

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

/** What the request itself brings to its generation. */
type RequestPart =
  | 'fairShareKey'
  | 'controller'
  | 'timeoutMs'
  | 'trace'
  | 'log'
  | 'meter'
  | 'recorder';

/**
 * Generates what a request asks for and answers with it, whole or as a stream. Ends with the client.
 * @returns what a route handler returns
 * @throws what goes wrong before the first frame; later failures become the last frame
 */
export async function generateReply(
  request: FastifyRequest,
  reply: FastifyReply,
  generation: Omit<Generation, RequestPart>,
  form: ReplyForm,
): Promise<object> {
  const { log, trace, meter = unlimitedMeter, recorder = noRecorder } = request;
  const controller = abortOnDisconnect(request, reply);
  const cacheScope = request.caller?.cacheScope;
  const options = { ...generation.options, ...(cacheScope !== undefined && { cacheScope }) };
  const events = generate({
    ...generation,
    options,
    fairShareKey: fairShareKeyOf(request),
    priority: priorityOf(request.caller, generation.priority),
    controller,
    timeoutMs: request.server.generationTimeoutMs,
    trace,
    log,
    meter,
    recorder,
  });
  try {
    if (!form.stream) return await collect(events, form.collector);
    const frames = toFrames(events, form.framer, request);
    // The first event decides between a stream and a plain error, unless it is long in coming.
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
    switch (event.type) {
      case 'prompt-delta':
        collector.addPrompt?.(event.choice, event.tokens);
        break;
      case 'delta':
        collector.add(event.choice, event.delta);
        break;
      case 'choice-end':
        collector.end(event);
        break;
      case 'completion-end':
        return collector.build(event);
      default:
        event satisfies never;
    }
  }
  throw new GatewayError('engine_failed');
}

/**
 * The frames of a stream. A ping is the first of them when the first event does not come in time.
 * Throws what goes wrong before the first frame; later failures become the last frame.
 */
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
    const first = events.next();
    if (!(await settlesWithin(first, pingIntervalMs))) {
      begun = true;
      yield pingFrame;
    }
    let next = await first;
    begun = true;
    yield counted(framer.opening());
    for (; next.done !== true; next = await events.next()) yield counted(framer.of(next.value));
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
  } finally {
    await events.return();
  }
}

/** Whether a promise settles, well or not, in this time. */
function settlesWithin(promise: Promise<unknown>, timeMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeMs);
    const onSettled = () => {
      clearTimeout(timer);
      resolve(true);
    };
    promise.then(onSettled, onSettled);
  });
}
