import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import {
  type CompletionEvent,
  type CompletionFinishReason,
  isOfPrompt,
} from '../generation/choice.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import { toChatLogprobs } from '../generation/logprobs.ts';
import type { ReplyCollector } from '../generation/reply.ts';
import type { ChunkForm } from '../generation/reply-frames.ts';
import { type ReplyHead, wireFinishReasons } from '../generation/reply-head.ts';
import { toTimings } from '../generation/timings.ts';
import { toUsage } from '../generation/usage.ts';
import type { ChatCompletion, ChatCompletionChunk } from './chat-shapes.ts';

type Message = ChatCompletion['choices'][number]['message'];

/** Collects the parts of one message. */
class ChatMessageBuilder {
  #content = '';
  #reasoning = '';
  readonly #calls: { id: string; name: string; arguments: string }[] = [];

  add(delta: ReplyDelta): void {
    switch (delta.type) {
      case 'text-delta':
        this.#content += delta.text;
        return;
      case 'reasoning-delta':
        this.#reasoning += delta.text;
        return;
      case 'tool-call':
        this.#calls[delta.index] = { id: delta.id, name: delta.name, arguments: '' };
        return;
      case 'tool-call-delta': {
        const call = this.#calls[delta.index];
        if (call !== undefined) call.arguments += delta.arguments;
        return;
      }
      default:
        delta satisfies never;
    }
  }

  /** A message that only calls tools has no content. */
  build(): Message {
    const reasoning = this.#reasoning;
    return {
      role: 'assistant',
      content: this.#content === '' && this.#calls.length > 0 ? null : this.#content,
      refusal: null,
      ...(reasoning !== '' && { reasoning_content: reasoning, reasoning }),
      ...(this.#calls.length > 0 && {
        tool_calls: this.#calls.map(({ id, ...call }) => ({
          id,
          type: 'function' as const,
          function: call,
        })),
      }),
    };
  }
}

/** The reply to a request that does not stream. */
export class ChatReply implements ReplyCollector {
  readonly #head: ReplyHead;
  readonly #withLogprobs: boolean;
  readonly #choices: readonly {
    readonly message: ChatMessageBuilder;
    readonly tokens: TokenLogprob[];
    finishReason: CompletionFinishReason;
  }[];

  /** @param options.withLogprobs - include the log probabilities of each choice's tokens */
  constructor(
    head: ReplyHead,
    { choiceCount, withLogprobs }: { readonly choiceCount: number; readonly withLogprobs: boolean },
  ) {
    this.#head = head;
    this.#withLogprobs = withLogprobs;
    this.#choices = Array.from({ length: choiceCount }, () => ({
      message: new ChatMessageBuilder(),
      tokens: [],
      finishReason: 'stop',
    }));
  }

  add(choice: number, event: CompletionEvent): void {
    const extended = this.#choices[choice];
    // No chat returns the log probabilities of its prompt, and only a stream has its progress.
    if (extended === undefined || isOfPrompt(event)) return;
    if (event.type === 'choice-end') extended.finishReason = event.finishReason;
    else extended.message.add(event);
    extended.tokens.push(...(event.tokens ?? []));
  }

  build(totals: CompletionTotals): ChatCompletion {
    return {
      ...this.#head,
      object: 'chat.completion',
      choices: this.#choices.map(({ message, tokens, finishReason }, index) => ({
        index,
        message: message.build(),
        logprobs: this.#withLogprobs ? toChatLogprobs(tokens) : null,
        finish_reason: wireFinishReasons[finishReason],
      })),
      usage: toUsage(totals.usage),
      timings: toTimings(totals),
    };
  }
}

type ChunkPart = Pick<ChatCompletionChunk['choices'][number], 'delta'>;

/** The chunks of a chat completion. */
export const chatChunks: ChunkForm<ChunkPart> = {
  object: 'chat.completion.chunk',
  toPart: (delta) => ({ delta: toWireDelta(delta) }),
  toLogprobs: toChatLogprobs,
  endPart: { delta: {} },
};

/** The first chunk of every choice. */
export const chatOpening: ChunkPart = { delta: { role: 'assistant', content: '', refusal: null } };

function toWireDelta(delta: ReplyDelta): ChunkPart['delta'] {
  switch (delta.type) {
    case 'text-delta':
      return { content: delta.text };
    case 'reasoning-delta':
      return { reasoning_content: delta.text, reasoning: delta.text };
    case 'tool-call': {
      const { index, id, name } = delta;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'tool-call-delta':
      return { tool_calls: [{ index: delta.index, function: { arguments: delta.arguments } }] };
    default:
      return delta satisfies never;
  }
}
