import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { ReplyExtras } from '../fields/reply-extras.ts';
import type { ChoiceEnd, CompletionEvent, CompletionFinishReason } from './choice.ts';
import { ChoiceTokens } from './choice-tokens.ts';
import type { CompletionTotals } from './completion.ts';
import { type PromptProgress, toPromptProgress } from './prompt-progress.ts';
import { type ReplyHead, wireFinishReasons } from './reply-head.ts';
import type { ReplyFramer } from './reply-stream.ts';
import { doneFrame, errorFrame, frame, pingFrame } from './sse.ts';
import { type Timings, toTimings } from './timings.ts';
import { toUsage } from './usage.ts';

/** The chunks of one endpoint. `Part` is what stands between the index and the end of a choice. */
export interface ChunkForm<Part extends object> {
  readonly object: string;
  readonly toPart: (delta: ReplyDelta) => Part;
  /** The log probabilities of a piece of a choice's reply, and of its prompt. */
  readonly toLogprobs: (tokens: readonly TokenLogprob[], choice: number) => object;
  readonly toPromptLogprobs?: (tokens: readonly TokenLogprob[], choice: number) => object;
  /** Stands beside the finish reason, and where there is nothing to add to the choice. */
  readonly endPart: Part;
  /** Where the token ids of a prompt are: in the chunk itself, or in its choice. */
  readonly promptIdsIn: 'chunk' | 'choice';
  /** The words for the end of a choice. Default: OpenAI's. */
  readonly finishReasons?: Readonly<Record<CompletionFinishReason, string>>;
}

/** What a chunk has beside the index, the part and the log probabilities of its choice. */
interface ChunkExtras {
  readonly finishReason?: string;
  readonly stopReason?: string | number | null;
  readonly timings?: Timings;
  readonly progress?: PromptProgress;
  readonly ids?: readonly number[] | undefined;
  readonly promptIds?: readonly number[];
}

/** Stands for the text of a delta in a sample frame. JSON escapes it in ids and model names, so it occurs once. */
const textMark = '\u0000';

/**
 * The frames of one stream. Everything around a piece of text is the same for every token, so it is rendered
 * once, and only the text is escaped each time.
 */
export class ReplyFrames<Part extends object> implements ReplyFramer {
  readonly ping = pingFrame;
  readonly failure = errorFrame;
  readonly #head: ReplyHead;
  readonly #form: ChunkForm<Part>;
  readonly #openings: readonly (Part | undefined)[];
  readonly #includeUsage: boolean;
  readonly #extras: ReplyExtras;
  /** By choice. Empty unless tokens are reported; a choice then opens at its `choice-begin`. */
  readonly #tokens: readonly ChoiceTokens[];
  /** By choice: the prompt's tokens so far, of choices that open when their prompt is complete. */
  readonly #prompts: Map<number, TokenLogprob[]>;
  #runningCount: number;
  /** The end of the last choice. Its chunk waits for the totals. */
  #lastEnd: { readonly choice: number; readonly end: ChoiceEnd } | undefined;
  /** By choice: what stands before and after the text. */
  readonly #aroundText: readonly (readonly [before: string, after: string])[];

  /**
   * @param options.openings - by choice: what it begins with, undefined for nothing
   * @param options.withPromptLogprobs - the openings are the prompts, with their log probabilities
   */
  constructor(
    head: ReplyHead,
    form: ChunkForm<Part>,
    options: {
      readonly openings: readonly (Part | undefined)[];
      readonly includeUsage: boolean;
      readonly extras: ReplyExtras;
      readonly withPromptLogprobs?: boolean;
    },
  ) {
    const { extras } = options;
    this.#extras = extras;
    const reports = extras.returnTokenIds || extras.continuousUsage;
    this.#tokens = reports ? options.openings.map(() => new ChoiceTokens()) : [];
    this.#head = head;
    this.#form = form;
    this.#openings = options.openings;
    this.#includeUsage = options.includeUsage;
    this.#runningCount = options.openings.length;
    this.#prompts = new Map(
      options.withPromptLogprobs === true ? options.openings.map((_, index) => [index, []]) : [],
    );
    this.#aroundText = options.openings.map((_, index) => {
      const sample = this.#choice(index, form.toPart({ type: 'text-delta', text: textMark }));
      const [before = '', after = ''] = sample.split(JSON.stringify(textMark));
      return [before, after];
    });
  }

  /** Opens the choices that need not wait for their prompt. */
  opening(): string {
    if (this.#tokens.length > 0) return '';
    return this.#openings
      .map((part, index) =>
        part === undefined || this.#prompts.has(index) ? '' : this.#choice(index, part),
      )
      .join('');
  }

  of(choice: number, event: CompletionEvent): string {
    switch (event.type) {
      case 'choice-begin':
        return this.#begin(choice, event.promptIds);
      case 'prompt-delta':
        this.#prompts.get(choice)?.push(...event.tokens);
        return '';
      case 'prompt-progress':
        return this.#choice(choice, this.#form.endPart, undefined, {
          progress: toPromptProgress(event),
        });
      case 'choice-end':
        return this.#promptOpening(choice) + this.#end(choice, event);
      default:
        return this.#promptOpening(choice) + this.#delta(choice, event);
    }
  }

  /** The chunks that need the totals; the last one has the timings. */
  end(totals: CompletionTotals): string {
    const timings = toTimings(totals);
    if (!this.#includeUsage) return this.#lastEndFrame(timings) + doneFrame;
    const usage = { ...this.#start(), choices: [], usage: toUsage(totals.usage), timings };
    return this.#lastEndFrame() + frame(usage) + doneFrame;
  }

  /** Only where tokens are reported. */
  #begin(index: number, promptIds: readonly number[]): string {
    const tokens = this.#tokens[index];
    if (tokens !== undefined) tokens.promptIds = promptIds;
    // A prompt with log probabilities opens the choice once it is complete.
    const part = this.#prompts.has(index) ? this.#form.endPart : this.#openings[index];
    const ids = this.#extras.returnTokenIds ? { promptIds } : {};
    if (part === undefined && !this.#extras.returnTokenIds) return '';
    return this.#choice(index, part ?? this.#form.endPart, undefined, ids);
  }

  #delta(index: number, delta: ReplyDelta): string {
    const tokens = this.#tokens[index];
    if (delta.type !== 'text-delta' || delta.tokens !== undefined || tokens !== undefined) {
      const { ids } = delta;
      tokens?.add(ids);
      const logprobs = this.#logprobs(index, delta.tokens);
      return this.#choice(index, this.#form.toPart(delta), logprobs, { ids });
    }
    const [before, after] = this.#aroundText[index] ?? ['', ''];
    return before + JSON.stringify(delta.text) + after;
  }

  /** Opens a choice with its prompt, which is complete by now; empty when the choice is open. */
  #promptOpening(index: number): string {
    const tokens = this.#prompts.get(index);
    const part = this.#openings[index];
    if (tokens === undefined || part === undefined) return '';
    this.#prompts.delete(index);
    return this.#choice(index, part, this.#form.toPromptLogprobs?.(tokens, index));
  }

  #end(choice: number, end: ChoiceEnd): string {
    this.#runningCount -= 1;
    if (this.#runningCount > 0) return this.#endFrame(choice, end);
    this.#lastEnd = { choice, end };
    return '';
  }

  #lastEndFrame(timings?: Timings): string {
    if (this.#lastEnd === undefined) return '';
    return this.#endFrame(this.#lastEnd.choice, this.#lastEnd.end, timings);
  }

  #endFrame(choice: number, end: ChoiceEnd, timings?: Timings): string {
    const { finishReason, tokens, ids, stopReason = null } = end;
    this.#tokens[choice]?.add(ids);
    return this.#choice(choice, this.#form.endPart, this.#logprobs(choice, tokens), {
      finishReason: (this.#form.finishReasons ?? wireFinishReasons)[finishReason],
      ids,
      ...(this.#extras.returnStopReason && { stopReason }),
      ...(timings && { timings }),
    });
  }

  #logprobs(index: number, tokens: readonly TokenLogprob[] | undefined): object | undefined {
    if (tokens === undefined || tokens.length === 0) return undefined;
    return this.#form.toLogprobs(tokens, index);
  }

  #choice(
    index: number,
    part: Part,
    logprobs: object | null = null,
    extras: ChunkExtras = {},
  ): string {
    const { finishReason = null, stopReason, timings, progress, ids, promptIds } = extras;
    const { returnTokenIds, continuousUsage } = this.#extras;
    const usage = continuousUsage ? (this.#tokens[index]?.usage() ?? null) : null;
    const promptPart = promptIds && { prompt_token_ids: promptIds };
    const isInChoice = this.#form.promptIdsIn === 'choice';
    return frame({
      ...this.#start(),
      ...(!isInChoice && promptPart),
      choices: [
        {
          index,
          ...part,
          logprobs,
          finish_reason: finishReason,
          ...(stopReason !== undefined && { stop_reason: stopReason }),
          ...(isInChoice && promptPart),
          ...(returnTokenIds && { token_ids: ids ?? [] }),
        },
      ],
      ...(this.#includeUsage && { usage }),
      ...(timings && { timings }),
      ...(progress && { prompt_progress: progress }),
    });
  }

  #start(): ReplyHead & { readonly object: string } {
    return { ...this.#head, object: this.#form.object };
  }
}
