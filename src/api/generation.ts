import type { FastifyBaseLogger } from 'fastify';
import type { Drain } from '../drain.ts';
import type {
  Engine,
  EngineEvent,
  GenerateRequest,
  PreparedPrompt,
  ReplyDelta,
  SamplingParams,
  TokenUsage,
} from '../engine/engine.ts';
import { GatewayError } from '../errors.ts';
import { merge } from './merge.ts';

type SequenceEnd = Extract<EngineEvent, { type: 'sequence-end' }>;

/** How a choice that came to its end did so; the others are thrown. */
export type CompletionFinishReason = Exclude<SequenceEnd['finishReason'], 'cancelled'>;

/** What a completion tells while it runs; choices count from 0. `completion-end` comes once, last. */
export type CompletionEvent =
  | { readonly type: 'delta'; readonly choice: number; readonly delta: ReplyDelta }
  | {
      readonly type: 'choice-end';
      readonly choice: number;
      readonly finishReason: CompletionFinishReason;
    }
  | {
      readonly type: 'completion-end';
      /** The prompt counted once, the completions of all choices added up. */
      readonly usage: TokenUsage;
    };

/** Everything one completion needs. */
export interface Generation {
  readonly engine: Engine;
  /** Called once, after the drain has let the request in. */
  readonly prepare: () => Promise<PreparedPrompt>;
  readonly options: Omit<GenerateRequest, 'prompt'>;
  /** Completions of the one prompt. */
  readonly choiceCount: number;
  readonly drain: Drain;
  /** Aborted by the client's leaving or by the drain's deadline. */
  readonly controller: AbortController;
  readonly log: FastifyBaseLogger;
}

/**
 * Prepares the prompt and generates all choices of one completion, registered with the drain for as
 * long as they run.
 * @throws the controller's abort reason when it was aborted, else what the engine throws
 */
export async function* generate(
  generation: Generation,
): AsyncGenerator<CompletionEvent, void, undefined> {
  const { drain, controller, choiceCount } = generation;
  const leave = drain.enter(controller);
  try {
    controller.signal.throwIfAborted();
    const prompt = await generation.prepare();
    controller.signal.throwIfAborted();
    const choices = Array.from({ length: choiceCount }, (_, choice) =>
      generateChoice(generation, prompt, choice),
    );
    const usages: TokenUsage[] = [];
    for await (const { source: choice, value: event } of merge(choices)) {
      if (event.type !== 'sequence-end') {
        yield { type: 'delta', choice, delta: event };
      } else {
        usages[choice] = event.usage;
        yield { type: 'choice-end', choice, finishReason: event.finishReason };
      }
    }
    yield { type: 'completion-end', usage: total(usages) };
  } finally {
    leave();
  }
}

type ChoiceEvent = ReplyDelta | (SequenceEnd & { readonly finishReason: CompletionFinishReason });

async function* generateChoice(
  { engine, options, controller, log }: Generation,
  prompt: PreparedPrompt,
  choice: number,
): AsyncGenerator<ChoiceEvent, void, undefined> {
  const { signal } = controller;
  const request = { ...options, sampling: samplingOf(options.sampling, choice), prompt };
  for await (const event of engine.generate(request, signal)) {
    if (event.type !== 'sequence-end') {
      yield event;
      continue;
    }
    const { finishReason, usage, timings } = event;
    log.info({ choice, finishReason, ...usage, ...timings }, 'sequence ended');
    if (finishReason === 'cancelled') {
      signal.throwIfAborted();
      // Nobody aborted this one: the engine was closed under it.
      throw new GatewayError('shutting_down');
    }
    yield { ...event, finishReason };
  }
}

/** With the same seed all choices would be the same. */
function samplingOf(sampling: SamplingParams = {}, choice: number): SamplingParams {
  if (sampling.seed === undefined || choice === 0) return sampling;
  return { ...sampling, seed: BigInt.asUintN(64, sampling.seed + BigInt(choice)) };
}

function total(usages: readonly TokenUsage[]): TokenUsage {
  const [first] = usages;
  if (first === undefined) throw new GatewayError('engine_failed');
  const sum = (count: (usage: TokenUsage) => number) =>
    usages.reduce((all, usage) => all + count(usage), 0);
  return {
    promptTokenCount: first.promptTokenCount,
    // What one choice computes the others find; that is not what the request found.
    cachedTokenCount: Math.min(...usages.map((usage) => usage.cachedTokenCount)),
    completionTokenCount: sum((usage) => usage.completionTokenCount),
    reasoningTokenCount: sum((usage) => usage.reasoningTokenCount),
  };
}
