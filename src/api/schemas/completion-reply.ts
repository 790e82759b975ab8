import type { ReplyDelta, TokenUsage } from '../../engine/engine.ts';
import type { CompletionFinishReason } from '../generation.ts';
import type { ReplyCollector } from '../reply.ts';
import type { Completion, CompletionChunk } from './completions.ts';
import type { ChunkForm } from './reply-frames.ts';
import type { ReplyHead } from './reply-head.ts';
import { toUsage } from './usage.ts';

/** The whole reply to a request that does not stream. */
export class TextReply implements ReplyCollector {
  readonly #head: ReplyHead;
  readonly #choices: { text: string; finishReason: CompletionFinishReason }[];

  /** @param openings - what the text of each choice begins with */
  constructor(head: ReplyHead, openings: readonly string[]) {
    this.#head = head;
    this.#choices = openings.map((text) => ({ text, finishReason: 'stop' }));
  }

  add(choice: number, delta: ReplyDelta): void {
    const extended = this.#choices[choice];
    if (extended !== undefined) extended.text += toText(delta);
  }

  end(choice: number, finishReason: CompletionFinishReason): void {
    const ended = this.#choices[choice];
    if (ended !== undefined) ended.finishReason = finishReason;
  }

  build(usage: TokenUsage): Completion {
    return {
      ...this.#head,
      object: 'text_completion',
      choices: this.#choices.map(({ text, finishReason }, index) => ({
        index,
        text,
        logprobs: null,
        finish_reason: finishReason === 'length' ? 'length' : 'stop',
      })),
      usage: toUsage(usage),
    };
  }
}

type ChunkPart = Pick<CompletionChunk['choices'][number], 'text'>;

/** The chunks of a text completion. */
export const textChunks: ChunkForm<ChunkPart> = {
  object: 'text_completion',
  toPart: (delta) => ({ text: toText(delta) }),
  endPart: { text: '' },
};

/** A plain prompt has no format that could tell other parts apart. */
function toText(delta: ReplyDelta): string {
  return delta.type === 'text-delta' ? delta.text : '';
}
