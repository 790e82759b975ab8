import { characterCount } from '../../core/characters.ts';
import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { ReplyExtras, TokenForm } from '../fields/reply-extras.ts';
import type { CompletionEvent, CompletionFinishReason } from '../generation/choice.ts';
import { ChoiceTokens } from '../generation/choice-tokens.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import {
  completionLogprobs,
  joinLogprobs,
  promptLogprobs,
  type TextLogprobs,
} from '../generation/logprobs.ts';
import { toPromptLogprobs } from '../generation/prompt-logprobs.ts';
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
  readonly ids: ChoiceTokens;
  text: string;
  finishReason: CompletionFinishReason;
  stopReason: string | number | null;
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
  /** The openings are the prompts, and are included in the log probabilities. */
  readonly echo: boolean;
  readonly extras: ReplyExtras;
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
      ids: new ChoiceTokens(),
      text: opening,
      finishReason: 'stop',
      stopReason: null,
      meanLogprob: -Infinity,
    }));
  }

  add(choice: number, event: CompletionEvent): void {
    const extended = this.#choices[choice];
    if (extended === undefined) return;
    switch (event.type) {
      case 'choice-begin':
        extended.ids.promptIds = event.promptIds;
        return;
      case 'prompt-delta':
        extended.promptTokens.push(...event.tokens);
        return;
      case 'prompt-progress':
        // Only a stream has it.
        return;
      case 'choice-end':
        extended.finishReason = event.finishReason;
        extended.meanLogprob = event.meanLogprob ?? -Infinity;
        extended.stopReason = event.stopReason ?? null;
        extended.ids.add(event.ids);
        return;
      default:
        extended.text += toText(event);
        extended.tokens.push(...(event.tokens ?? []));
        extended.ids.add(event.ids);
    }
  }

  build(totals: CompletionTotals): Completion {
    const { withLogprobs, extras } = this.#options;
    const { returnTokenIds, returnStopReason, promptLogprobCount } = extras;
    return {
      ...this.#head,
      object: 'text_completion',
      choices: this.#returned().map((choice, index) => ({
        index,
        text: choice.text,
        logprobs: withLogprobs ? this.#logprobs(choice) : null,
        finish_reason: choice.finishReason === 'length' ? 'length' : 'stop',
        ...(returnStopReason && { stop_reason: choice.stopReason }),
        ...(promptLogprobCount !== undefined && {
          prompt_logprobs: toPromptLogprobs(choice.promptTokens, promptLogprobCount),
        }),
        ...(returnTokenIds && {
          prompt_token_ids: [...choice.ids.promptIds],
          token_ids: choice.ids.ids,
        }),
      })),
      usage: toUsage(totals.usage),
      timings: toTimings(totals),
    };
  }

  #logprobs({ opening, promptTokens, tokens }: Choice): TextLogprobs {
    const { tokenForm } = this.#options.extras;
    const reply = completionLogprobs(tokens, characterCount(opening), tokenForm);
    if (!this.#options.echo) return reply;
    return joinLogprobs(promptLogprobs(promptTokens, opening, tokenForm), reply);
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

type ChunkPart = Pick<CompletionChunk['choices'][number], 'text'>;

/**
 * The chunks of a text completion.
 * @param openings - the beginning of each choice's text
 */
export function textChunks(
  openings: readonly string[],
  tokenForm: TokenForm,
): ChunkForm<ChunkPart> {
  const startCounts = openings.map(characterCount);
  return {
    object: 'text_completion',
    toPart: (delta) => ({ text: toText(delta) }),
    toLogprobs: (tokens, choice) => completionLogprobs(tokens, startCounts[choice] ?? 0, tokenForm),
    toPromptLogprobs: (tokens, choice) => promptLogprobs(tokens, openings[choice] ?? '', tokenForm),
    endPart: { text: '' },
    promptIdsIn: 'choice',
  };
}

/** Replies to plain prompts have no parts other than text. */
function toText(delta: ReplyDelta): string {
  return delta.type === 'text-delta' ? delta.text : '';
}
