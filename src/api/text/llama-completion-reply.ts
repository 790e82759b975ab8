import type {
  PreparedPrompt,
  ReplyDelta,
  SequenceTimings,
  TokenUsage,
} from '../../engine/generator.ts';
import type { TokenLogprob, TopLogprob } from '../../engine/logprobs.ts';
import type { ChoiceEnd, CompletionEvent } from '../generation/choice.ts';
import { toPromptProgress } from '../generation/prompt-progress.ts';
import type { ReplyCollector } from '../generation/reply.ts';
import type { ReplyFramer } from '../generation/reply-stream.ts';
import { errorFrame, frame, pingFrame } from '../generation/sse.ts';
import { toTimings } from '../generation/timings.ts';
import type { LlamaChoice, LlamaPiece, Probabilities } from './llama-completion-shapes.ts';

/** What the choices of one reply share. */
export interface LlamaReplyOptions {
  /** The served id. */
  readonly model: string;
  /** Choices of each prompt, and of all. */
  readonly choiceCount: number;
  readonly promptCount: number;
  readonly contextLength: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly withProbabilities: boolean;
  readonly returnTokens: boolean;
  /** Paths of the fields to return; empty: all. */
  readonly responseFields: readonly string[];
}

/** A prepared prompt as the reply shows it. */
export interface ShownPrompt {
  readonly text: string;
  readonly prepared: PreparedPrompt;
}

/** The value for an excluded token; JSON has no infinity. */
const minLogprob = -9999;

/** Slots are interchangeable, and a sequence may change its own. */
const anySlot = -1;

/** What is known of a choice so far. */
class Choice {
  readonly index: number;
  readonly ids: number[] = [];
  readonly tokens: TokenLogprob[] = [];
  text = '';
  end: ChoiceEnd | undefined;

  constructor(index: number) {
    this.index = index;
  }

  add(event: ReplyDelta | ChoiceEnd): void {
    if (event.type === 'choice-end') this.end = event;
    else this.text += textOf(event);
    this.ids.push(...(event.ids ?? []));
    this.tokens.push(...(event.tokens ?? []));
  }
}

/** The choices of a reply, whole or in frames. The prompts are set before the first event. */
abstract class LlamaChoices {
  readonly options: LlamaReplyOptions;
  readonly choices: readonly Choice[];
  prompts: readonly ShownPrompt[] = [];

  constructor(options: LlamaReplyOptions) {
    this.options = options;
    const length = options.promptCount * options.choiceCount;
    this.choices = Array.from({ length }, (_, index) => new Choice(index));
  }

  promptOf(choice: number): ShownPrompt | undefined {
    return this.prompts[Math.floor(choice / this.options.choiceCount)];
  }

  /** A whole choice, or its last frame, which repeats no text. */
  finished({ index, text, ids, tokens, end }: Choice, { inFrames }: { inFrames: boolean }): object {
    const { model, settings, contextLength, returnTokens, responseFields } = this.options;
    const prompt = this.promptOf(index);
    const { finishReason = 'stop', stopReason, usage = noUsage, timings = noTimings } = end ?? {};
    const stopText = typeof stopReason === 'string' ? stopReason : undefined;
    const isFull = usage.promptTokenCount + usage.completionTokenCount >= contextLength;
    const choice: LlamaChoice = {
      index,
      content: inFrames ? '' : text,
      tokens: inFrames || !returnTokens ? [] : ids,
      id_slot: anySlot,
      stop: true,
      model,
      tokens_predicted: usage.completionTokenCount,
      tokens_evaluated: usage.promptTokenCount,
      generation_settings: { ...settings },
      prompt: prompt?.text ?? '',
      has_new_line: text.includes('\n'),
      truncated: prompt?.prepared.cut === true || (finishReason === 'length' && isFull),
      stop_type: finishReason === 'length' ? 'limit' : stopText === undefined ? 'eos' : 'word',
      stopping_word: stopText ?? '',
      tokens_cached: Math.max(0, usage.promptTokenCount + usage.completionTokenCount - 1),
      timings: toTimings({ ...timings, usage, choiceCount: 1 }),
      ...(this.options.withProbabilities &&
        !inFrames && { completion_probabilities: toProbabilities(tokens) }),
    };
    return responseFields.length === 0 ? choice : selected(choice, responseFields);
  }
}

/** The reply to a request that does not stream: an object, or an array of several choices. */
export class LlamaReply extends LlamaChoices implements ReplyCollector {
  add(choice: number, event: CompletionEvent): void {
    if (isOfReply(event)) this.choices[choice]?.add(event);
  }

  build(): object {
    const all = this.choices.map((choice) => this.finished(choice, { inFrames: false }));
    return all.length === 1 ? (all[0] ?? {}) : all;
  }
}

/** The frames of a stream. It has no `[DONE]`: the last frame of each choice has `stop: true`. */
export class LlamaFrames extends LlamaChoices implements ReplyFramer {
  readonly ping = pingFrame;
  readonly failure = errorFrame;
  #runningCount = this.choices.length;
  /** Waits until the usage is recorded. */
  #lastEnd = '';

  opening(): string {
    return '';
  }

  of(index: number, event: CompletionEvent): string {
    const choice = this.choices[index];
    if (choice === undefined) return '';
    if (event.type === 'prompt-progress') {
      return frame({ ...this.#piece(choice, '', {}), prompt_progress: toPromptProgress(event) });
    }
    if (!isOfReply(event)) return '';
    choice.add(event);
    if (event.type !== 'choice-end') return frame(this.#piece(choice, textOf(event), event));
    // Tokens without text that is shown, such as the end of the generation.
    const rest = (event.ids ?? []).length > 0 ? frame(this.#piece(choice, '', event)) : '';
    const end = frame(this.finished(choice, { inFrames: true }));
    this.#runningCount -= 1;
    if (this.#runningCount > 0) return rest + end;
    this.#lastEnd = end;
    return rest;
  }

  end(): string {
    return this.#lastEnd;
  }

  #piece(
    { index, ids: allIds }: Choice,
    content: string,
    { ids = [], tokens = [] }: Pick<ChoiceEnd, 'ids' | 'tokens'>,
  ): LlamaPiece {
    return {
      index,
      content,
      tokens: [...ids],
      stop: false,
      id_slot: anySlot,
      tokens_predicted: allIds.length,
      tokens_evaluated: this.promptOf(index)?.prepared.tokenCount ?? 0,
      ...(this.options.withProbabilities &&
        tokens.length > 0 && { completion_probabilities: toProbabilities(tokens) }),
    };
  }
}

function isOfReply(event: CompletionEvent): event is ReplyDelta | ChoiceEnd {
  return !['choice-begin', 'prompt-delta', 'prompt-progress'].includes(event.type);
}

const noUsage: TokenUsage = {
  promptTokenCount: 0,
  cachedTokenCount: 0,
  completionTokenCount: 0,
  reasoningTokenCount: 0,
};
const noTimings: SequenceTimings = { queueMs: 0, prefillMs: 0, decodeMs: 0 };

/** Replies to plain prompts have no parts other than text. */
function textOf(delta: ReplyDelta): string {
  return delta.type === 'text-delta' ? delta.text : '';
}

function toProbabilities(tokens: readonly TokenLogprob[]): Probabilities {
  return tokens.map(({ id, bytes, logprob = minLogprob, top }) => ({
    ...toPiece({ id, bytes, logprob }),
    top_logprobs: top.map(toPiece),
  }));
}

function toPiece({ id, bytes, logprob }: TopLogprob) {
  return {
    id,
    token: bytes.toString(),
    bytes: [...bytes],
    logprob: Math.max(logprob, minLogprob),
  };
}

/** The fields at the paths, each under the last part of its path; paths that lead nowhere are left out. */
function selected(choice: object, paths: readonly string[]): object {
  const found: Record<string, unknown> = Object.create(null);
  for (const path of paths) {
    let value: unknown = choice;
    const parts = path.split('/');
    for (const part of parts) {
      const isObject = typeof value === 'object' && value !== null;
      value = isObject && Object.hasOwn(value as object, part) ? (value as never)[part] : undefined;
    }
    const name = parts.at(-1);
    if (value !== undefined && name !== undefined) found[name] = value;
  }
  return { ...found };
}
