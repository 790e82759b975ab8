import { createHash, randomUUID } from 'node:crypto';
import type { TokenUsage } from '../../engine/engine.ts';
import type { ServedModel } from '../../model/registry.ts';
import type { CompletionFinishReason } from '../generation.ts';
import { doneFrame, frame } from '../sse.ts';
import type { ChatCompletion, ChatCompletionChunk } from './chat-completions.ts';
import { toUsage } from './usage.ts';

/** What every object of one reply carries alike. */
export interface ReplyHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

/** A new head: its `system_fingerprint` changes when the model, the backend or this program does. */
export function newReplyHead({ card, engine }: ServedModel, version: string): ReplyHead {
  const build = [version, engine.info.backend, card.id, card.sizeBytes].join('\n');
  return {
    id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
    created: Math.floor(Date.now() / 1000),
    model: card.id,
    system_fingerprint: `fp_${createHash('sha256').update(build).digest('hex').slice(0, 10)}`,
  };
}

/** The whole reply to a request that does not stream. */
export function toChatCompletion(
  head: ReplyHead,
  text: string,
  finishReason: CompletionFinishReason,
  usage: TokenUsage,
): ChatCompletion {
  return {
    ...head,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: null,
        finish_reason: finishReason,
      },
    ],
    usage: toUsage(usage),
  };
}

type Choice = ChatCompletionChunk['choices'][number];

/** A text that no id or model name can contain once it is JSON, where the delta will stand. */
const deltaMark = '\u0000';

/**
 * The frames of one stream. Everything around a piece of text is the same from token to token, so it is
 * rendered once and only the text is escaped each time.
 */
export class ChatFrames {
  readonly #head: ReplyHead;
  readonly #includeUsage: boolean;
  readonly #beforeText: string;
  readonly #afterText: string;

  constructor(head: ReplyHead, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
    const sample = this.#choice({ delta: { content: deltaMark }, finish_reason: null });
    const [before = '', after = ''] = sample.split(JSON.stringify(deltaMark));
    this.#beforeText = before;
    this.#afterText = after;
  }

  /** Opens the choice. */
  role(): string {
    const delta = { role: 'assistant', content: '', refusal: null } as const;
    return this.#choice({ delta, finish_reason: null });
  }

  /** @param text - Never empty. */
  text(text: string): string {
    return this.#beforeText + JSON.stringify(text) + this.#afterText;
  }

  /** Closes the choice and the stream. */
  end(finishReason: CompletionFinishReason, usage: TokenUsage): string {
    const finish = this.#choice({ delta: {}, finish_reason: finishReason });
    const total = this.#includeUsage
      ? frame({ ...this.#opening(), choices: [], usage: toUsage(usage) })
      : '';
    return finish + total + doneFrame;
  }

  #choice({ delta, finish_reason }: Pick<Choice, 'delta' | 'finish_reason'>): string {
    const chunk: ChatCompletionChunk = {
      ...this.#opening(),
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...(this.#includeUsage && { usage: null }),
    };
    return frame(chunk);
  }

  #opening(): ReplyHead & Pick<ChatCompletionChunk, 'object'> {
    return { ...this.#head, object: 'chat.completion.chunk' };
  }
}
