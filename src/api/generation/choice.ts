import type { FastifyBaseLogger } from 'fastify';
import type { Permit, QueueEntry } from '../../admission/admission.ts';
import { GatewayError } from '../../core/errors.ts';
import type { EngineEvent, SequenceTimings, TokenUsage } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { GenerationTrace } from '../../observe/trace/request-trace.ts';
import type { CompletionUsage } from './completion-bill.ts';
import type { Deadline } from './deadline.ts';

export type SequenceEnd = Extract<EngineEvent, { type: 'sequence-end' }>;

/** How a choice ended that was not cancelled; cancelled choices throw. */
export type CompletionFinishReason = Exclude<SequenceEnd['finishReason'], 'cancelled'>;

/** The last event of a choice. */
export interface ChoiceEnd {
  readonly type: 'choice-end';
  readonly finishReason: CompletionFinishReason;
  /** Tokens whose text no delta contains; only with log probabilities. */
  readonly tokens?: readonly TokenLogprob[];
  /** The stop text or the stop token of the request that ended the choice. */
  readonly stopReason?: string | number;
  /** Ids of the tokens behind the last piece; only where tokens are reported. */
  readonly ids?: readonly number[];
  /** Over all sampled tokens; only with log probabilities. */
  readonly meanLogprob?: number;
  readonly usage: TokenUsage;
  /** Includes the wait for admission. */
  readonly timings: SequenceTimings;
}

/** The first event of a choice, only where tokens are reported. */
export interface ChoiceBegin {
  readonly type: 'choice-begin';
  /** The tokens of the prompt. */
  readonly promptIds: readonly number[];
}

/** An event of one choice: the events of its prompt, then the pieces of its reply, then its end. */
export type CompletionEvent = Exclude<EngineEvent, SequenceEnd> | ChoiceBegin | ChoiceEnd;

/**
 * Takes one event of a choice.
 * @returns a promise while the reader is slow: the choice waits for it, and so its sequence pauses
 */
export type Emit = (choice: number, event: CompletionEvent) => Promise<void> | undefined;

/** What the choices of one job share. */
export interface ChoiceContext {
  /** Of the job; its abort cancels the sequences. */
  readonly controller: AbortController;
  readonly entry: QueueEntry;
  readonly deadline: Deadline;
  readonly trace: GenerationTrace;
  readonly usage: CompletionUsage;
  /** Choices of each prompt. */
  readonly choiceCount: number;
  readonly emit: Emit;
  readonly log: FastifyBaseLogger;
}

/** One choice of a job. */
export interface Choice {
  readonly index: number;
  /** The first choice of a prompt computes the prompt; the others find it in the prefix cache. */
  readonly isFirst: boolean;
  readonly promptTokenCount: number;
  /** The tokens of the prompt, where tokens are reported. */
  readonly promptIds: (() => readonly number[]) | undefined;
  /** The sequence is submitted when the first event is awaited. */
  readonly events: AsyncGenerator<EngineEvent, void, undefined>;
  /** The other choices of a prompt wait here for the first one, which returns the prompt's log probabilities. */
  readonly promptGate: Gate | undefined;
}

/** Opens once, for all that wait for it. */
export class Gate {
  readonly opened: Promise<void>;
  open = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

/**
 * Waits for the admission of one choice, then starts its sequence and hands its events to `emit`. A failure aborts
 * the whole job.
 * @throws the abort reason when the job was aborted; else what the admission and the engine throw
 */
export async function runChoice(
  context: ChoiceContext,
  { index, isFirst, promptTokenCount, promptIds, events, promptGate }: Choice,
): Promise<SequenceEnd> {
  const { controller, entry, deadline, trace, usage, choiceCount, emit } = context;
  let permit: Permit | undefined;
  let end: SequenceEnd | undefined;
  let hasBegun = promptIds === undefined;
  try {
    if (!isFirst && promptGate !== undefined) await promptGate.opened;
    permit = await entry.permit(isFirst ? promptTokenCount : 0);
    deadline.start();
    for (let next = await events.next(); next.done !== true; next = await events.next()) {
      const event = next.value;
      if (!hasBegun) {
        hasBegun = true;
        await emit(index, { type: 'choice-begin', promptIds: promptIds?.() ?? [] });
      }
      if (event.type === 'sequence-end') {
        end = noteEnd(context, permit, index, event);
        continue;
      }
      if (event.type === 'prompt-progress') {
        await emit(index, event);
        continue;
      }
      trace.noteDelta();
      if (event.type === 'prompt-delta') {
        usage.notePiece(index, 0);
        for (let sample = 0; sample < choiceCount; sample++) await emit(index + sample, event);
        continue;
      }
      // A piece has one token at least; the end has the exact counts.
      usage.notePiece(index, 1);
      permit.notePiece();
      promptGate?.open();
      const reading = emit(index, event);
      if (reading !== undefined) await reading;
    }
    if (end === undefined) throw new GatewayError('engine_failed');
    promptGate?.open();
    await emit(index, toChoiceEnd(end, controller.signal));
    return end;
  } catch (error) {
    controller.abort(error);
    // What was computed is charged, and only the end of the sequence has the counts.
    if (permit !== undefined) {
      for await (const event of events) {
        if (event.type === 'sequence-end') noteEnd(context, permit, index, event);
      }
    }
    promptGate?.open();
    throw error;
  } finally {
    permit?.end();
  }
}

/** @returns the end, its wait for admission included in the timings */
function noteEnd(
  { trace, usage: usages, log }: ChoiceContext,
  permit: Permit,
  choice: number,
  end: SequenceEnd,
): SequenceEnd {
  const { finishReason, usage, drafts } = end;
  const timings = { ...end.timings, queueMs: permit.waitedMs + end.timings.queueMs };
  permit.end(usage);
  usages.noteEnd(choice, usage);
  trace.noteSequence({ finishReason, usage, timings });
  log.debug({ choice, finishReason, ...usage, ...timings, ...drafts }, 'sequence ended');
  return { ...end, timings };
}

/** @throws the signal's reason where the sequence was cancelled */
function toChoiceEnd(
  { finishReason, stopText, stopToken, tokens, ids, totalLogprob, usage, timings }: SequenceEnd,
  signal: AbortSignal,
): ChoiceEnd {
  if (finishReason === 'cancelled') {
    signal.throwIfAborted();
    // Without an abort, the engine was closed while the sequence ran.
    throw new GatewayError('shutting_down');
  }
  const stopReason = stopText ?? stopToken;
  return {
    type: 'choice-end',
    finishReason,
    usage,
    timings,
    ...(tokens && { tokens }),
    ...(ids && { ids }),
    ...(stopReason !== undefined && { stopReason }),
    ...(totalLogprob !== undefined && {
      meanLogprob: totalLogprob / Math.max(1, usage.completionTokenCount),
    }),
  };
}
