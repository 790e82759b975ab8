import { setMaxListeners } from 'node:events';
import type { FastifyBaseLogger } from 'fastify';
import type { TokenMeter } from '../../access/limits/token-meter.ts';
import type { UsageRecorder } from '../../access/usage/usage-recorder.ts';
import type { Admission, QueueEntry } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import type { Priority } from '../../admission/fair-queue.ts';
import type { GeneratingEngine } from '../../engine/engine.ts';
import type {
  EngineRequest,
  Generator,
  PreparedPrompt,
  TokenUsage,
} from '../../engine/generator.ts';
import type { SamplingParams } from '../../engine/sampling-params.ts';
import type { RequestTrace } from '../../observe/trace/request-trace.ts';
import type { TokenTexts } from '../fields/token-rules.ts';
import { type Choice, type Emit, Gate, runChoice, type SequenceEnd } from './choice.ts';
import { CompletionBill } from './completion-bill.ts';
import { Deadline } from './deadline.ts';
import { type PromptSource, preparePrompt } from './prompt.ts';
import { withTokenTexts } from './token-texts.ts';

/** What one request asks the engine to generate. */
export interface CompletionJob {
  readonly prompts: readonly PromptSource[];
  readonly options: Omit<EngineRequest, 'prompt'>;
  /** Texts of the request that become rules about tokens. */
  readonly tokenTexts?: TokenTexts | undefined;
  /** Choices of each prompt. */
  readonly choiceCount: number;
  /** Called with the prepared prompts, before the first choice begins. */
  readonly onPrepared?: (prompts: readonly PreparedPrompt[]) => Promise<void>;
  /** Called when all choices have ended, before the client receives the end. */
  readonly onEnd?: (totals: CompletionTotals) => Promise<void>;
}

/** What a job runs with. */
export interface CompletionContext {
  readonly engine: GeneratingEngine;
  readonly drain: Drain;
  readonly admission: Admission;
  readonly fairShareKey: string;
  readonly priority: Priority;
  /** Aborted when the client leaves, at the drain's deadline, at the job's own, and when a choice fails. */
  readonly controller: AbortController;
  /** Milliseconds the job may take from the admission of its first sequence; 0 is without limit. */
  readonly timeoutMs: number;
  readonly trace: RequestTrace;
  /** Counts the tokens against the limits of the request's key. */
  readonly meter: TokenMeter;
  /** Records the token counts once. */
  readonly recorder: UsageRecorder;
  readonly log: FastifyBaseLogger;
}

/** The result of a job, known when all choices have ended. */
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

/** Completion tokens set aside for a choice without a limit of its own. */
const assumedCompletionTokenCount = 256;

/**
 * Prepares the prompts and generates all choices of one job, registered with the drain while they run. Each
 * choice goes to the engine when it is admitted. The tokens of the choices are set aside, counted and recorded,
 * however the choices end.
 * @param emit - takes the events; choices count from 0, all choices of one prompt before those of the next
 * @throws the controller's abort reason when it was aborted; else what the admission, the meter and the engine
 *   throw
 */
export async function runCompletion(
  { prompts: sources, options: asked, tokenTexts, choiceCount, onPrepared, onEnd }: CompletionJob,
  context: CompletionContext,
  emit: Emit,
): Promise<CompletionTotals> {
  const { engine, controller, meter, recorder, log } = context;
  const { signal } = controller;
  const { maxTokens } = asked;
  const leaveDrain = context.drain.enter(controller);
  const trace = context.trace.beginGeneration({ choiceCount, maxTokens });
  const deadline = new Deadline(context.timeoutMs, controller);
  let entry: QueueEntry | undefined;
  let bill: CompletionBill | undefined;
  try {
    signal.throwIfAborted();
    // Every choice listens to it.
    setMaxListeners(0, signal);
    const { fairShareKey, priority } = context;
    entry = context.admission.join({ fairShareKey, priority, signal });
    const [options, ...prompts] = await Promise.all([
      withTokenTexts(engine.generator, asked, tokenTexts),
      ...sources.map((source) => preparePrompt(engine, source)),
    ]);
    await onPrepared?.(prompts);
    signal.throwIfAborted();
    // Refuses a prompt that never fits before the request waits for its turn.
    const choices = prompts.flatMap((prompt, index) =>
      choicesOf(engine.generator, { ...options, prompt }, { choiceCount, index, signal }),
    );
    trace.submit(prompts.reduce((sum, { tokenCount }) => sum + tokenCount, 0));
    bill = await CompletionBill.open(prompts, choiceCount, {
      meter,
      recorder,
      // A limit above the room that a prompt leaves is never used up.
      assumedTokenCountOf: ({ tokenCount }) =>
        Math.min(
          maxTokens ?? assumedCompletionTokenCount,
          Math.max(0, engine.info.contextLength - tokenCount),
        ),
    });
    const { usage } = bill;
    const run = { controller, entry, deadline, trace, usage, choiceCount, emit, log };
    const results = await Promise.allSettled(choices.map((choice) => runChoice(run, choice)));
    const ends = results.map((result) => {
      // The first failure has aborted the other choices, and is the reason of the abort.
      if (result.status === 'rejected') throw signal.reason;
      return result.value;
    });
    const totals = totalsOf(ends, bill.usage.total());
    trace.end(totals.usage);
    // The usage is recorded before the client receives the end, so that a crash loses no acknowledged usage.
    await bill.record({ failed: false });
    await onEnd?.(totals);
    return totals;
  } finally {
    deadline.clear();
    try {
      await bill?.settle();
    } finally {
      entry?.leave();
      trace.end();
      leaveDrain();
    }
  }
}

/**
 * All choices of one prompt. The first choice returns the log probabilities of the prompt, where they are requested;
 * the others begin when it has.
 * @throws {GatewayError} `context_length_exceeded`
 */
function choicesOf(
  generator: Generator,
  request: EngineRequest,
  of: { readonly choiceCount: number; readonly index: number; readonly signal: AbortSignal },
): readonly Choice[] {
  const { logprobs, sampling } = request;
  const promptGate = logprobs?.prompt === true ? new Gate() : undefined;
  return Array.from({ length: of.choiceCount }, (_, sample) => {
    const isFirst = sample === 0;
    const choiceRequest = {
      ...request,
      ...(logprobs && { logprobs: { ...logprobs, prompt: logprobs.prompt && isFirst } }),
      ...(sampling && { sampling: seededFor(sample, sampling) }),
    };
    return {
      index: of.index * of.choiceCount + sample,
      isFirst,
      promptTokenCount: request.prompt.tokenCount,
      promptIds: request.reportTokens ? () => generator.promptTokens(request.prompt) : undefined,
      events: generator.generate(choiceRequest, of.signal),
      promptGate,
    };
  });
}

/** With an equal seed all choices of a prompt would be equal. */
function seededFor(sample: number, sampling: SamplingParams): SamplingParams {
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
