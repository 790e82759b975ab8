import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { ChoiceEnd, CompletionEvent } from './choice.ts';
import type { CompletionTotals } from './completion.ts';
import { type PromptProgress, toPromptProgress } from './prompt-progress.ts';
import { type ReplyHead, wireFinishReasons } from './reply-head.ts';
import type { ReplyFramer } from './reply-stream.ts';
import { doneFrame, frame } from './sse.ts';
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
}

/** Stands for the text of a delta in a sample frame. JSON escapes it in ids and model names, so it occurs once. */
const textMark = '\u0000';

/**
 * The frames of one stream. Everything around a piece of text is the same for every token, so it is rendered
 * once, and only the text is escaped each time.
 */
export class ReplyFrames<Part extends object> implements ReplyFramer {
  readonly #head: ReplyHead;
  readonly #form: ChunkForm<Part>;
  readonly #openings: readonly (Part | undefined)[];
  readonly #includeUsage: boolean;
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
      readonly withPromptLogprobs?: boolean;
    },
  ) {
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
    return this.#openings
      .map((part, index) =>
        part === undefined || this.#prompts.has(index) ? '' : this.#choice(index, part),
      )
      .join('');
  }

  of(choice: number, event: CompletionEvent): string {
    switch (event.type) {
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

  #delta(index: number, delta: ReplyDelta): string {
    if (delta.type !== 'text-delta' || delta.tokens !== undefined) {
      return this.#choice(index, this.#form.toPart(delta), this.#logprobs(index, delta.tokens));
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

  #endFrame(choice: number, { finishReason, tokens }: ChoiceEnd, timings?: Timings): string {
    return this.#choice(choice, this.#form.endPart, this.#logprobs(choice, tokens), {
      finishReason: wireFinishReasons[finishReason],
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
    end: {
      readonly finishReason?: string;
      readonly timings?: Timings;
      readonly progress?: PromptProgress;
    } = {},
  ): string {
    const { finishReason = null, timings, progress } = end;
    return frame({
      ...this.#start(),
      choices: [{ index, ...part, logprobs, finish_reason: finishReason }],
      ...(this.#includeUsage && { usage: null }),
      ...(timings && { timings }),
      ...(progress && { prompt_progress: progress }),
    });
  }

  #start(): ReplyHead & { readonly object: string } {
    return { ...this.#head, object: this.#form.object };
  }
}
