import type { ReplyDelta, ScoredToken, TokenUsage } from '../../engine/engine.ts';
import type { CompletionFinishReason } from '../generation.ts';
import type { ChoiceEnd, ReplyCollector } from '../reply.ts';
import type { Completion, CompletionChunk } from './completions.ts';
import {
  characterCount,
  completionLogprobs,
  joinLogprobs,
  promptLogprobs,
  type TextLogprobs,
} from './logprobs.ts';
import type { ChunkForm } from './reply-frames.ts';
import type { ReplyHead } from './reply-head.ts';
import { toUsage } from './usage.ts';

interface Choice {
  /** What the text begins with. */
  readonly opening: string;
  readonly promptTokens: ScoredToken[];
  readonly tokens: ScoredToken[];
  text: string;
  finishReason: CompletionFinishReason;
}

/** The whole reply to a request that does not stream. */
export class TextReply implements ReplyCollector {
  readonly #head: ReplyHead;
  readonly #isScored: boolean;
  readonly #choices: readonly Choice[];

  /**
   * @param options.openings - what the text of each choice begins with
   * @param options.isScored - whether the tokens of each choice are told
   */
  constructor(
    head: ReplyHead,
    { openings, isScored }: { readonly openings: readonly string[]; readonly isScored: boolean },
  ) {
    this.#head = head;
    this.#isScored = isScored;
    this.#choices = openings.map((opening) => ({
      opening,
      promptTokens: [],
      tokens: [],
      text: opening,
      finishReason: 'stop',
    }));
  }

  addPrompt(choice: number, tokens: readonly ScoredToken[]): void {
    this.#choices[choice]?.promptTokens.push(...tokens);
  }

  add(choice: number, delta: ReplyDelta): void {
    const extended = this.#choices[choice];
    if (extended === undefined) return;
    extended.text += toText(delta);
    extended.tokens.push(...(delta.tokens ?? []));
  }

  end({ choice, finishReason }: ChoiceEnd): void {
    const ended = this.#choices[choice];
    if (ended !== undefined) ended.finishReason = finishReason;
  }

  build(usage: TokenUsage): Completion {
    return {
      ...this.#head,
      object: 'text_completion',
      choices: this.#choices.map((choice, index) => ({
        index,
        text: choice.text,
        logprobs: this.#isScored ? toLogprobs(choice) : null,
        finish_reason: choice.finishReason === 'length' ? 'length' : 'stop',
      })),
      usage: toUsage(usage),
    };
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
