import { createHash, randomUUID } from 'node:crypto';
import type { ReplyDelta, TokenUsage } from '../../engine/engine.ts';
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

const wireFinishReasons = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
} as const satisfies Record<CompletionFinishReason, string>;

type Message = ChatCompletion['choices'][number]['message'];

/** Collects the parts of a reply to a request that does not stream. */
export class ChatMessageBuilder {
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

  /** The message; one that only calls has no content. */
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

/** The whole reply to a request that does not stream. */
export function toChatCompletion(
  head: ReplyHead,
  message: Message,
  finishReason: CompletionFinishReason,
  usage: TokenUsage,
): ChatCompletion {
  return {
    ...head,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message,
        logprobs: null,
        finish_reason: wireFinishReasons[finishReason],
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

  /** The next piece of the reply. */
  delta(delta: ReplyDelta): string {
    if (delta.type === 'text-delta') {
      return this.#beforeText + JSON.stringify(delta.text) + this.#afterText;
    }
    return this.#choice({ delta: toWireDelta(delta), finish_reason: null });
  }

  /** Closes the choice and the stream. */
  end(finishReason: CompletionFinishReason, usage: TokenUsage): string {
    const finish = this.#choice({ delta: {}, finish_reason: wireFinishReasons[finishReason] });
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

function toWireDelta(delta: Exclude<ReplyDelta, { type: 'text-delta' }>): Choice['delta'] {
  switch (delta.type) {
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
