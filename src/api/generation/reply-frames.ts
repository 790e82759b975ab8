import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { CompletionEvent, CompletionTotals } from './generation.ts';
import type { ChoiceEnd } from './reply.ts';
import { type ReplyHead, wireFinishReasons } from './reply-head.ts';
import { doneFrame, frame } from './sse.ts';
import { type Timings, toTimings } from './timings.ts';
import { toUsage } from './usage.ts';

/** What the chunks of one endpoint look like; `Part` is what a choice has between its index and its end. */
export interface ChunkForm<Part extends object> {
  readonly object: string;
  /** What a delta is on the wire. */
  readonly toPart: (delta: ReplyDelta) => Part;
  /** What the tokens of a choice's piece are on the wire, and those of its prompt. */
  readonly toLogprobs: (tokens: readonly TokenLogprob[], choice: number) => object;
  readonly toPromptLogprobs?: (tokens: readonly TokenLogprob[], choice: number) => object;
  /** Stands beside the finish reason. */
  readonly endPart: Part;
}

/** A text that no id or model name can contain once it is JSON, where the text of a delta will stand. */
const textMark = '\u0000';

/**
 * The frames of one stream. Everything around a piece of text is the same from token to token, so it is
 * rendered once and only the text is escaped each time.
 */
export class ReplyFrames<Part extends object> {
  readonly #head: ReplyHead;
  readonly #form: ChunkForm<Part>;
  readonly #openings: readonly (Part | undefined)[];
  readonly #includeUsage: boolean;
  /** Of choices whose opening waits until their prompt is scored: the tokens so far. */
  readonly #prompts: Map<number, TokenLogprob[]>;
  /** Choices that run. */
  #runningCount: number;
  /** The end of the last of them, which waits for what its chunk tells of the whole. */
  #lastEnd: ChoiceEnd | undefined;
  /** What stands before and after the text, for each choice. */
  readonly #aroundText: readonly (readonly [before: string, after: string])[];

  /**
   * @param options.openings - for each choice what it begins with, if with anything
   * @param options.scoresPrompts - the openings are the prompts, and come with their tokens
   */
  constructor(
    head: ReplyHead,
    form: ChunkForm<Part>,
    options: {
      readonly openings: readonly (Part | undefined)[];
      readonly includeUsage: boolean;
      readonly scoresPrompts?: boolean;
    },
  ) {
    this.#head = head;
    this.#form = form;
    this.#openings = options.openings;
    this.#includeUsage = options.includeUsage;
    this.#runningCount = options.openings.length;
    this.#prompts = new Map(
      options.scoresPrompts === true ? options.openings.map((_, index) => [index, []]) : [],
    );
    this.#aroundText = options.openings.map((_, index) => {
      const sample = this.#choice(index, form.toPart({ type: 'text-delta', text: textMark }));
      const [before = '', after = ''] = sample.split(JSON.stringify(textMark));
      return [before, after];
    });
  }

  /** Opens the choices that can be; empty where they begin with nothing. */
  opening(): string {
    return this.#openings
      .map((part, index) =>
        part === undefined || this.#prompts.has(index) ? '' : this.#choice(index, part),
      )
      .join('');
  }

  of(event: CompletionEvent): string {
    switch (event.type) {
      case 'prompt-delta':
        this.#prompts.get(event.choice)?.push(...event.tokens);
        return '';
      case 'delta':
        return this.#scoredOpening(event.choice) + this.#delta(event.choice, event.delta);
      case 'choice-end':
        return this.#scoredOpening(event.choice) + this.#end(event);
      case 'completion-end':
        return this.#last(event) + doneFrame;
      default:
        return event satisfies never;
    }
  }

  #delta(index: number, delta: ReplyDelta): string {
    if (delta.type !== 'text-delta' || delta.tokens !== undefined) {
      return this.#choice(index, this.#form.toPart(delta), this.#logprobs(index, delta.tokens));
    }
    const [before, after] = this.#aroundText[index] ?? ['', ''];
    return before + JSON.stringify(delta.text) + after;
  }

  /** Opens a choice whose prompt is scored by now; empty when it is open. */
  #scoredOpening(index: number): string {
    const tokens = this.#prompts.get(index);
    const part = this.#openings[index];
    if (tokens === undefined || part === undefined) return '';
    this.#prompts.delete(index);
    return this.#choice(index, part, this.#form.toPromptLogprobs?.(tokens, index));
  }

  #end(end: ChoiceEnd): string {
    this.#runningCount -= 1;
    if (this.#runningCount > 0) return this.#endFrame(end);
    this.#lastEnd = end;
    return '';
  }

  /** What is left when all choices ended; the last chunk has the timings. */
  #last(totals: CompletionTotals): string {
    const timings = toTimings(totals);
    const end = this.#lastEnd;
    if (!this.#includeUsage) return end === undefined ? '' : this.#endFrame(end, timings);
    const usage = { ...this.#start(), choices: [], usage: toUsage(totals.usage), timings };
    return (end === undefined ? '' : this.#endFrame(end)) + frame(usage);
  }

  #endFrame({ choice, finishReason, tokens }: ChoiceEnd, timings?: Timings): string {
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
    end: { readonly finishReason?: string; readonly timings?: Timings } = {},
  ): string {
    const { finishReason = null, timings } = end;
    return frame({
      ...this.#start(),
      choices: [{ index, ...part, logprobs, finish_reason: finishReason }],
      ...(this.#includeUsage && { usage: null }),
      ...(timings && { timings }),
    });
  }

  #start(): ReplyHead & { readonly object: string } {
    return { ...this.#head, object: this.#form.object };
  }
}
