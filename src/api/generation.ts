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

/**
 * What a completion tells while it runs. Choices count from 0, all of one prompt before those of the
 * next. `completion-end` comes once, last.
 */
export type CompletionEvent =
  | { readonly type: 'delta'; readonly choice: number; readonly delta: ReplyDelta }
  | {
      readonly type: 'choice-end';
      readonly choice: number;
      readonly finishReason: CompletionFinishReason;
    }
  | {
      readonly type: 'completion-end';
      /** Every prompt counted once, the completions of all choices added up. */
      readonly usage: TokenUsage;
    };

/** Everything one completion needs. */
export interface Generation {
  readonly engine: Engine;
  /** Called once, after the drain has let the request in. */
  readonly prepare: () => Promise<readonly PreparedPrompt[]>;
  readonly options: Omit<GenerateRequest, 'prompt'>;
  /** Completions of each prompt. */
  readonly choiceCount: number;
  readonly drain: Drain;
  /** Aborted by the client's leaving or by the drain's deadline. */
  readonly controller: AbortController;
  readonly log: FastifyBaseLogger;
}

/**
 * Prepares the prompts and generates all choices of one completion, registered with the drain for as
 * long as they run. They are all handed to the engine at once, and wait there for slots.
 * @throws the controller's abort reason when it was aborted, else what the engine throws
 */
export async function* generate(
  generation: Generation,
): AsyncGenerator<CompletionEvent, void, undefined> {
  const { drain, controller, choiceCount } = generation;
  const leave = drain.enter(controller);
  try {
    controller.signal.throwIfAborted();
    const prompts = await generation.prepare();
    controller.signal.throwIfAborted();
    const choices = Array.from({ length: prompts.length * choiceCount }, (_, choice) =>
      generateChoice(generation, prompts, choice),
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
    yield { type: 'completion-end', usage: totalOf(usages, choiceCount) };
  } finally {
    leave();
  }
}

type ChoiceEvent = ReplyDelta | (SequenceEnd & { readonly finishReason: CompletionFinishReason });

async function* generateChoice(
  { engine, options, choiceCount, controller, log }: Generation,
  prompts: readonly PreparedPrompt[],
  choice: number,
): AsyncGenerator<ChoiceEvent, void, undefined> {
  const { signal } = controller;
  const prompt = prompts[Math.floor(choice / choiceCount)];
  if (prompt === undefined) return;
  const request = {
    ...options,
    sampling: samplingOf(options.sampling, choice % choiceCount),
    prompt,
  };
  for await (const event of engine.generate(request, signal)) {
    if (event.type !== 'sequence-end') {
      yield event;
      continue;
    }
    const { finishReason, usage, timings, drafts } = event;
    log.info({ choice, finishReason, ...usage, ...timings, ...drafts }, 'sequence ended');
    if (finishReason === 'cancelled') {
      signal.throwIfAborted();
      // Nobody aborted this one: the engine was closed under it.
      throw new GatewayError('shutting_down');
    }
    yield { ...event, finishReason };
  }
}

/** With the same seed all choices of a prompt would be the same. */
function samplingOf(sampling: SamplingParams = {}, sample: number): SamplingParams {
  if (sampling.seed === undefined || sample === 0) return sampling;
  return { ...sampling, seed: BigInt.asUintN(64, sampling.seed + BigInt(sample)) };
}

function totalOf(usages: readonly TokenUsage[], choiceCount: number): TokenUsage {
  const prompts = Array.from({ length: usages.length / choiceCount }, (_, prompt) =>
    promptUsage(usages.slice(prompt * choiceCount, (prompt + 1) * choiceCount)),
  );
  return {
    promptTokenCount: sum(prompts, ({ promptTokenCount }) => promptTokenCount),
    cachedTokenCount: sum(prompts, ({ cachedTokenCount }) => cachedTokenCount),
    completionTokenCount: sum(prompts, ({ completionTokenCount }) => completionTokenCount),
    reasoningTokenCount: sum(prompts, ({ reasoningTokenCount }) => reasoningTokenCount),
  };
}

/** Of all choices of one prompt. */
function promptUsage(usages: readonly TokenUsage[]): TokenUsage {
  const [first] = usages;
  if (first === undefined) throw new GatewayError('engine_failed');
  return {
    promptTokenCount: first.promptTokenCount,
    // What one choice computes the others find; that is not what the request found.
    cachedTokenCount: Math.min(...usages.map((usage) => usage.cachedTokenCount)),
    completionTokenCount: sum(usages, ({ completionTokenCount }) => completionTokenCount),
    reasoningTokenCount: sum(usages, ({ reasoningTokenCount }) => reasoningTokenCount),
  };
}

function sum(usages: readonly TokenUsage[], count: (usage: TokenUsage) => number): number {
  return usages.reduce((all, usage) => all + count(usage), 0);
}
