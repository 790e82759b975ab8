import { characterCount } from '../../core/characters.ts';
import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { CompletionEvent, CompletionFinishReason } from '../generation/choice.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import {
  completionLogprobs,
  joinLogprobs,
  promptLogprobs,
  type TextLogprobs,
} from '../generation/logprobs.ts';
import type { ReplyCollector } from '../generation/reply.ts';
import type { ChunkForm } from '../generation/reply-frames.ts';
import type { ReplyHead } from '../generation/reply-head.ts';
import { toTimings } from '../generation/timings.ts';
import { toUsage } from '../generation/usage.ts';
import type { Completion, CompletionChunk } from './completion-shapes.ts';

interface Choice {
  /** The beginning of the text: nothing, or the prompt. */
  readonly opening: string;
  readonly promptTokens: TokenLogprob[];
  readonly tokens: TokenLogprob[];
  text: string;
  finishReason: CompletionFinishReason;
  /** Mean over the sampled tokens; −Infinity without log probabilities. */
  meanLogprob: number;
}

interface TextReplyOptions {
  /** The beginning of each choice's text; all choices of a prompt before those of the next. */
  readonly openings: readonly string[];
  /** Choices generated for each prompt, and how many of them are returned: the likeliest. */
  readonly choiceCount: number;
  readonly returnedCount: number;
  /** Include the log probabilities of each choice's tokens. */
  readonly withLogprobs: boolean;
}

/** The reply to a request that does not stream. */
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

  add(choice: number, event: CompletionEvent): void {
    const extended = this.#choices[choice];
    if (extended === undefined) return;
    switch (event.type) {
      case 'prompt-delta':
        extended.promptTokens.push(...event.tokens);
        return;
      case 'prompt-progress':
        // Only a stream has it.
        return;
      case 'choice-end':
        extended.finishReason = event.finishReason;
        extended.meanLogprob = event.meanLogprob ?? -Infinity;
        return;
      default:
        extended.text += toText(event);
        extended.tokens.push(...(event.tokens ?? []));
    }
  }

  build(totals: CompletionTotals): Completion {
    return {
      ...this.#head,
      object: 'text_completion',
      choices: this.#returned().map((choice, index) => ({
        index,
        text: choice.text,
        logprobs: this.#options.withLogprobs ? toLogprobs(choice) : null,
        finish_reason: choice.finishReason === 'length' ? 'length' : 'stop',
      })),
      usage: toUsage(totals.usage),
      timings: toTimings(totals),
    };
  }

  /** The likeliest choices of each prompt, likeliest first; in their order where all are returned. */
  #returned(): Choice[] {
    const { choiceCount, returnedCount } = this.#options;
    if (returnedCount === choiceCount) return [...this.#choices];
    return Array.from({ length: this.#choices.length / choiceCount }, (_, prompt) =>
      this.#choices
        .slice(prompt * choiceCount, (prompt + 1) * choiceCount)
        .sort((a, b) => (a.meanLogprob === b.meanLogprob ? 0 : b.meanLogprob - a.meanLogprob))
        .slice(0, returnedCount),
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
 * @param openings - the beginning of each choice's text
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

/** Replies to plain prompts have no parts other than text. */
function toText(delta: ReplyDelta): string {
  return delta.type === 'text-delta' ? delta.text : '';
}
