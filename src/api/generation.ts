import type { FastifyBaseLogger } from 'fastify';
import type { Drain } from '../drain.ts';
import type {
  ChatMessage,
  ChatOptions,
  Engine,
  EngineEvent,
  GenerateRequest,
  ReplyDelta,
} from '../engine/engine.ts';
import { GatewayError } from '../errors.ts';

type SequenceEnd = Extract<EngineEvent, { type: 'sequence-end' }>;

/** How a completion that came to its end did so; the others are thrown. */
export type CompletionFinishReason = Exclude<SequenceEnd['finishReason'], 'cancelled'>;

/** What a completion tells while it runs. `completion-end` comes once, last. */
export type CompletionEvent =
  | ReplyDelta
  | (Pick<SequenceEnd, 'usage'> & {
      readonly type: 'completion-end';
      readonly finishReason: CompletionFinishReason;
    });

/** Everything one chat completion needs. */
export interface Generation {
  readonly engine: Engine;
  readonly messages: readonly ChatMessage[];
  readonly chat: ChatOptions;
  readonly options: Omit<GenerateRequest, 'prompt'>;
  readonly drain: Drain;
  /** Aborted by the client's leaving or by the drain's deadline. */
  readonly controller: AbortController;
  readonly log: FastifyBaseLogger;
}

/**
 * Prepares and generates one chat completion, registered with the drain for as long as it runs.
 * @throws the controller's abort reason when it was aborted, else what the engine throws
 */
export async function* generateChat(
  generation: Generation,
): AsyncGenerator<CompletionEvent, void, undefined> {
  const { engine, messages, chat, options, drain, controller, log } = generation;
  const { signal } = controller;
  const leave = drain.enter(controller);
  try {
    signal.throwIfAborted();
    const prompt = await engine.prepareChat(messages, chat);
    signal.throwIfAborted();
    for await (const event of engine.generate({ ...options, prompt }, signal)) {
      if (event.type !== 'sequence-end') {
        yield event;
        continue;
      }
      const { finishReason, usage, timings } = event;
      log.info({ finishReason, ...usage, ...timings }, 'sequence ended');
      if (finishReason === 'cancelled') {
        signal.throwIfAborted();
        // Nobody aborted this one: the engine was closed under it.
        throw new GatewayError('shutting_down');
      }
      yield { type: 'completion-end', finishReason, usage };
    }
  } finally {
    leave();
  }
}
