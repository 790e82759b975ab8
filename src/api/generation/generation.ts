import type { FastifyBaseLogger } from 'fastify';
import type { TokenMeter } from '../../access/limits/token-meter.ts';
import type { UsageRecorder } from '../../access/usage/usage-recorder.ts';
import type { Admission, Permit, QueueEntry } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import type { Priority } from '../../admission/fair-queue.ts';
import { GatewayError } from '../../core/errors.ts';
import { completionLimit } from '../../engine/completion-limit.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import type {
  EngineEvent,
  EngineRequest,
  Generator,
  PreparedPrompt,
  ReplyDelta,
  TokenUsage,
} from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { SamplingParams } from '../../engine/sampling-params.ts';
import type { GenerationTrace, RequestTrace } from '../../observe/trace/request-trace.ts';
import { Deadline } from './deadline.ts';
import { GenerationBill } from './generation-bill.ts';
import { merge } from './merge.ts';

type SequenceEnd = Extract<EngineEvent, { type: 'sequence-end' }>;

/** How a choice that came to its end did so; the others are thrown. */
export type CompletionFinishReason = Exclude<SequenceEnd['finishReason'], 'cancelled'>;

/**
 * What a completion tells while it runs. Choices count from 0, all of one prompt before those of the
 * next. `completion-end` comes once, last.
 */
export type CompletionEvent =
  | {
      /** The next tokens of the prompt of a choice, before its first delta; every choice gets them. */
      readonly type: 'prompt-delta';
      readonly choice: number;
      readonly tokens: readonly TokenLogprob[];
    }
  | { readonly type: 'delta'; readonly choice: number; readonly delta: ReplyDelta }
  | {
      readonly type: 'choice-end';
      readonly choice: number;
      readonly finishReason: CompletionFinishReason;
      /** Scored tokens that no delta had a place for. */
      readonly tokens?: readonly TokenLogprob[];
      /** Of all tokens sampled; only where they are scored. */
      readonly meanLogprob?: number;
    }
  | (CompletionTotals & { readonly type: 'completion-end' });

export type CompletionEvents = AsyncGenerator<CompletionEvent, void, undefined>;

/** What a completion came to. */
export interface CompletionTotals {
  /** Every prompt counted once, the completions of all choices added up. */
  readonly usage: TokenUsage;
  /** Of all prompts. */
  readonly choiceCount: number;
  /** The longest of the choices, each from its first step to its first token. */
  readonly prefillMs: number;
  /** The longest of the choices, each from its first token to its last. */
  readonly decodeMs: number;
}

/** Everything one completion needs. */
export interface Generation {
  readonly generator: Generator;
  readonly info: EngineInfo;
  /** Called once, after the drain has let the request in. */
  readonly prepare: () => Promise<readonly PreparedPrompt[]>;
  readonly options: Omit<EngineRequest, 'prompt'>;
  /** Completions of each prompt. */
  readonly choiceCount: number;
  readonly drain: Drain;
  readonly admission: Admission;
  readonly fairShareKey: string;
  readonly priority: Priority;
  /** Aborted by the client's leaving, by the drain's deadline, and when it takes too long. */
  readonly controller: AbortController;
  /** Milliseconds it may take once its first sequence is let in; 0 is without limit. */
  readonly timeoutMs: number;
  readonly trace: RequestTrace;
  /** Counts the tokens against the key of the request. */
  readonly meter: TokenMeter;
  /** Takes down, once, what it came to. */
  readonly recorder: UsageRecorder;
  readonly log: FastifyBaseLogger;
}

/** Completion tokens that are set aside for a choice without a limit of its own. */
const assumedCompletionTokenCount = 256;

/**
 * Prepares the prompts and generates all choices of one completion, registered with the drain for as
 * long as they run. Each choice goes to the engine when it is let in. What the choices use is set aside,
 * counted and recorded, however they end.
 * @throws the controller's abort reason when it was aborted, else what the admission, the meter and the
 *   engine throw
 */
export async function* generate(generation: Generation): CompletionEvents {
  const { drain, admission, controller, choiceCount } = generation;
  const { maxTokens } = generation.options;
  const leave = drain.enter(controller);
  const trace = generation.trace.beginGeneration({ choiceCount, maxTokens });
  let entry: QueueEntry | undefined;
  let bill: GenerationBill | undefined;
  const deadline = new Deadline(generation);
  try {
    controller.signal.throwIfAborted();
    entry = admission.join({ ...generation, signal: controller.signal });
    const prompts = await generation.prepare();
    controller.signal.throwIfAborted();
    for (const prompt of prompts) requireRoom(generation, prompt);
    trace.submit(prompts.reduce((sum, { tokenCount }) => sum + tokenCount, 0));
    bill = await GenerationBill.open(prompts, choiceCount, {
      ...generation,
      assumedTokenCount: maxTokens ?? assumedCompletionTokenCount,
    });
    const run: Run = { generation, trace, entry, deadline, bill, ends: [] };
    const choices = prompts.flatMap((prompt, index) => choicesOf(run, prompt, index * choiceCount));
    for await (const event of merge(choices)) yield event;
    // `filter` leaves out those that never ended.
    if (run.ends.filter(Boolean).length < choices.length) throw new GatewayError('engine_failed');
    const totals = totalsOf(run.ends, bill.usage.total());
    trace.end(totals.usage);
    // Before anybody is told: what was acknowledged is not forgotten.
    await bill.record({ failed: false });
    yield { type: 'completion-end', ...totals };
  } finally {
    deadline.clear();
    try {
      await bill?.settle();
    } finally {
      entry?.leave();
      trace.end();
      leave();
    }
  }
}

/** Nobody waits for a slot only to hear that the request never fits. */
function requireRoom({ info, options }: Generation, prompt: PreparedPrompt): void {
  completionLimit({
    promptField: prompt.field,
    promptTokenCount: prompt.tokenCount,
    requestedTokenCount: options.maxTokens,
    defaultTokenCount: info.defaultMaxTokens,
    contextLength: info.contextLength,
  });
}

/** What the choices of one generation share. */
interface Run {
  readonly generation: Generation;
  readonly trace: GenerationTrace;
  readonly entry: QueueEntry;
  readonly deadline: Deadline;
  readonly bill: GenerationBill;
  /** How the choices ended that did, by their number. */
  readonly ends: SequenceEnd[];
}

/** All choices of one prompt. Where it is scored the first one does that, and the others follow. */
function choicesOf(run: Run, prompt: PreparedPrompt, firstIndex: number): CompletionEvents[] {
  const { options, choiceCount } = run.generation;
  const { sampling, logprobs } = options;
  const choices = Array.from({ length: choiceCount }, (_, sample) => {
    const isScored = logprobs?.prompt === true && sample === 0;
    const request = {
      ...options,
      ...(logprobs && { logprobs: { ...logprobs, prompt: isScored } }),
      sampling: samplingOf(sampling, sample),
      prompt,
    };
    return generateChoice(run, request, firstIndex + sample);
  });
  if (logprobs?.prompt !== true) return choices;
  let settle: (isScored: boolean) => void = () => {};
  const scored = new Promise<boolean>((resolve) => {
    settle = resolve;
  });
  return choices.map((choice, sample) =>
    sample === 0 ? scoring(choice, settle) : following(choice, scored),
  );
}

/** @param settle - told whether the prompt was scored: it was when anything else comes */
async function* scoring(
  choice: CompletionEvents,
  settle: (isScored: boolean) => void,
): CompletionEvents {
  try {
    for await (const event of choice) {
      if (event.type !== 'prompt-delta') settle(true);
      yield event;
    }
  } finally {
    settle(false);
  }
}

async function* following(choice: CompletionEvents, scored: Promise<boolean>): CompletionEvents {
  if (await scored) yield* choice;
}

/** Waits to be let in, then generates. When one choice fails, none of the request waits any longer. */
async function* generateChoice(run: Run, request: EngineRequest, choice: number): CompletionEvents {
  const { entry, deadline, trace, bill } = run;
  const { generator, controller, choiceCount } = run.generation;
  // Other choices of a prompt find what the first one computes.
  const isFirst = choice % choiceCount === 0;
  const permit = await entry.permit(isFirst ? request.prompt.tokenCount : 0);
  deadline.start();
  const { signal } = controller;
  const left = new AbortController();
  const events = generator.generate(request, AbortSignal.any([signal, left.signal]));
  let end: SequenceEnd | undefined;
  try {
    while (end === undefined) {
      const { value: event } = await events.next();
      if (event === undefined) return;
      if (event.type === 'sequence-end') {
        end = noteEnd(run, permit, choice, event);
        yield toChoiceEnd(end, choice, signal);
        return;
      }
      trace.noteDelta();
      // At least one token, until the end tells.
      const isPrompt = event.type === 'prompt-delta';
      bill.usage.notePiece(choice, isPrompt ? 0 : 1);
      if (!isPrompt) {
        permit.notePiece();
        yield { type: 'delta', choice, delta: event };
        continue;
      }
      for (let sample = 0; sample < choiceCount; sample++) {
        yield { type: 'prompt-delta', choice: choice + sample, tokens: event.tokens };
      }
    }
  } catch (error) {
    entry.leave(error);
    throw error;
  } finally {
    // Whoever leaves early still pays for all that was computed: only the end tells what that was.
    if (end === undefined) left.abort();
    for await (const event of events) {
      if (event.type === 'sequence-end') noteEnd(run, permit, choice, event);
    }
    permit.end();
  }
}

/** @returns the end with all the time it waited */
function noteEnd(
  { generation: { log }, trace, bill, ends }: Run,
  permit: Permit,
  choice: number,
  { finishReason, usage, drafts, timings: engineTimings, ...rest }: SequenceEnd,
): SequenceEnd {
  const timings = { ...engineTimings, queueMs: permit.waitedMs + engineTimings.queueMs };
  permit.end(usage);
  bill.usage.noteEnd(choice, usage);
  trace.noteSequence({ finishReason, usage, timings });
  log.debug({ choice, finishReason, ...usage, ...timings, ...drafts }, 'sequence ended');
  const end = { ...rest, finishReason, usage, timings };
  ends[choice] = end;
  return end;
}

/** @throws where it was cancelled, the reason of that */
function toChoiceEnd(
  { finishReason, tokens, totalLogprob, usage }: SequenceEnd,
  choice: number,
  signal: AbortSignal,
): CompletionEvent {
  if (finishReason === 'cancelled') {
    signal.throwIfAborted();
    // Nobody aborted this one: the engine was closed under it.
    throw new GatewayError('shutting_down');
  }
  return {
    type: 'choice-end',
    choice,
    finishReason,
    ...(tokens && { tokens }),
    ...(totalLogprob !== undefined && {
      meanLogprob: totalLogprob / Math.max(1, usage.completionTokenCount),
    }),
  };
}

/** With the same seed all choices of a prompt would be the same. */
function samplingOf(sampling: SamplingParams = {}, sample: number): SamplingParams {
  if (sampling.seed === undefined || sample === 0) return sampling;
  return { ...sampling, seed: BigInt.asUintN(64, sampling.seed + BigInt(sample)) };
}

function totalsOf(ends: readonly SequenceEnd[], usage: TokenUsage): CompletionTotals {
  return {
    usage,
    choiceCount: ends.length,
    prefillMs: Math.max(...ends.map(({ timings }) => timings.prefillMs)),
    decodeMs: Math.max(...ends.map(({ timings }) => timings.decodeMs)),
  };
}
