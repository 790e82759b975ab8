import { characterCount } from '../../core/characters.ts';
import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { CompletionFinishReason, CompletionTotals } from '../generation/generation.ts';
import {
  completionLogprobs,
  joinLogprobs,
  promptLogprobs,
  type TextLogprobs,
} from '../generation/logprobs.ts';
import type { ChoiceEnd, ReplyCollector } from '../generation/reply.ts';
import type { ChunkForm } from '../generation/reply-frames.ts';
import type { ReplyHead } from '../generation/reply-head.ts';
import { toTimings } from '../generation/timings.ts';
import { toUsage } from '../generation/usage.ts';
import type { Completion, CompletionChunk } from './completion-shapes.ts';

interface Choice {
  /** What the text begins with. */
  readonly opening: string;
  readonly promptTokens: TokenLogprob[];
  readonly tokens: TokenLogprob[];
  text: string;
  finishReason: CompletionFinishReason;
  /** Mean over its tokens; −Infinity where they are not scored. */
  meanLogprob: number;
}

interface TextReplyOptions {
  /** What the text of each choice begins with; all choices of a prompt before those of the next. */
  readonly openings: readonly string[];
  /** Choices of each prompt, and how many of them are sent: the likeliest. */
  readonly choiceCount: number;
  readonly keptCount: number;
  /** Whether the tokens of each choice are told. */
  readonly withLogprobs: boolean;
}

/** The whole reply to a request that does not stream. */
export class TextReply implements ReplyCollector {
  readonly #head: ReplyHead;
  readonly #options: TextReplyOptions;
  readonly #choices: readonly Choice[];

  constructor(head: ReplyHead, options: TextReplyOptions) {
    this.#head = head;
    this.#options = options;
    this.#choices = options.openings.map((opening) => ({
      opening,
      promptTokens: [],
      tokens: [],
      text: opening,
      finishReason: 'stop',
      meanLogprob: -Infinity,
    }));
  }

  addPrompt(choice: number, tokens: readonly TokenLogprob[]): void {
    this.#choices[choice]?.promptTokens.push(...tokens);
  }

  add(choice: number, delta: ReplyDelta): void {
    const extended = this.#choices[choice];
    if (extended === undefined) return;
    extended.text += toText(delta);
    extended.tokens.push(...(delta.tokens ?? []));
  }

  end({ choice, finishReason, meanLogprob = -Infinity }: ChoiceEnd): void {
    const ended = this.#choices[choice];
    if (ended === undefined) return;
    ended.finishReason = finishReason;
    ended.meanLogprob = meanLogprob;
  }

  build(totals: CompletionTotals): Completion {
    return {
      ...this.#head,
      object: 'text_completion',
      choices: this.#kept().map((choice, index) => ({
        index,
        text: choice.text,
        logprobs: this.#options.withLogprobs ? toLogprobs(choice) : null,
        finish_reason: choice.finishReason === 'length' ? 'length' : 'stop',
      })),
      usage: toUsage(totals.usage),
      timings: toTimings(totals),
    };
  }

  /** Of each prompt the best choices, the best first; as they came where all are kept. */
  #kept(): Choice[] {
    const { choiceCount, keptCount } = this.#options;
    if (keptCount === choiceCount) return [...this.#choices];
    return Array.from({ length: this.#choices.length / choiceCount }, (_, prompt) =>
      this.#choices
        .slice(prompt * choiceCount, (prompt + 1) * choiceCount)
        .sort((a, b) => (a.meanLogprob === b.meanLogprob ? 0 : b.meanLogprob - a.meanLogprob))
        .slice(0, keptCount),
    ).flat();
  }
}

function toLogprobs({ opening, promptTokens, tokens }: Choice): TextLogprobs {
  return joinLogprobs(
    promptLogprobs(promptTokens, opening),
    completionLogprobs(tokens, characterCount(opening)),
  );
}

type ChunkPart = Pick<CompletionChunk['choices'][number], 'text'>;

/**
 * The chunks of a text completion.
 * @param openings - what the text of each choice begins with
 */
export function textChunks(openings: readonly string[]): ChunkForm<ChunkPart> {
  const startCounts = openings.map(characterCount);
  return {
    object: 'text_completion',
    toPart: (delta) => ({ text: toText(delta) }),
    toLogprobs: (tokens, choice) => completionLogprobs(tokens, startCounts[choice] ?? 0),
    toPromptLogprobs: (tokens, choice) => promptLogprobs(tokens, openings[choice] ?? ''),
    endPart: { text: '' },
  };
}

/** A plain prompt has no format that could tell other parts apart. */
function toText(delta: ReplyDelta): string {
  return delta.type === 'text-delta' ? delta.text : '';
}
