import type { ReplyDelta } from '../../engine/engine.ts';
import type { CompletionEvent, CompletionFinishReason } from '../generation.ts';
import { doneFrame, frame } from '../sse.ts';
import { type ReplyHead, wireFinishReasons } from './reply-head.ts';
import { toUsage } from './usage.ts';

/** What the chunks of one endpoint look like; `Part` is what a choice has between its index and its end. */
export interface ChunkForm<Part extends object> {
  readonly object: string;
  /** What a delta is on the wire. */
  readonly toPart: (delta: ReplyDelta) => Part;
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
  /** What stands before and after the text, for each choice. */
  readonly #aroundText: readonly (readonly [before: string, after: string])[];

  /** @param options.openings - for each choice what it begins with, if with anything */
  constructor(
    head: ReplyHead,
    form: ChunkForm<Part>,
    options: {
      readonly openings: readonly (Part | undefined)[];
      readonly includeUsage: boolean;
    },
  ) {
    this.#head = head;
    this.#form = form;
    this.#openings = options.openings;
    this.#includeUsage = options.includeUsage;
    this.#aroundText = options.openings.map((_, index) => {
      const sample = this.#choice(index, form.toPart({ type: 'text-delta', text: textMark }));
      const [before = '', after = ''] = sample.split(JSON.stringify(textMark));
      return [before, after];
    });
  }

  /** Opens all choices; empty where they begin with nothing. */
  opening(): string {
    return this.#openings
      .map((part, index) => (part === undefined ? '' : this.#choice(index, part)))
      .join('');
  }

  of(event: CompletionEvent): string {
    switch (event.type) {
      case 'delta':
        return this.#delta(event.choice, event.delta);
      case 'choice-end':
        return this.#choice(event.choice, this.#form.endPart, event.finishReason);
      case 'completion-end': {
        const usage = { ...this.#start(), choices: [], usage: toUsage(event.usage) };
        return (this.#includeUsage ? frame(usage) : '') + doneFrame;
      }
      default:
        return event satisfies never;
    }
  }

  #delta(index: number, delta: ReplyDelta): string {
    if (delta.type !== 'text-delta') return this.#choice(index, this.#form.toPart(delta));
    const [before, after] = this.#aroundText[index] ?? ['', ''];
    return before + JSON.stringify(delta.text) + after;
  }

  #choice(index: number, part: Part, finishReason?: CompletionFinishReason): string {
    const end = finishReason === undefined ? null : wireFinishReasons[finishReason];
    return frame({
      ...this.#start(),
      choices: [{ index, ...part, logprobs: null, finish_reason: end }],
      ...(this.#includeUsage && { usage: null }),
    });
  }

  #start(): ReplyHead & { readonly object: string } {
    return { ...this.#head, object: this.#form.object };
  }
}
