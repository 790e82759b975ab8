import { createHash, randomUUID } from 'node:crypto';
import type { ReplyDelta, TokenUsage } from '../../engine/engine.ts';
import type { ServedModel } from '../../model/registry.ts';
import type { CompletionEvent, CompletionFinishReason } from '../generation.ts';
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
  choices: readonly {
    readonly message: ChatMessageBuilder;
    readonly finishReason: CompletionFinishReason;
  }[],
  usage: TokenUsage,
): ChatCompletion {
  return {
    ...head,
    object: 'chat.completion',
    choices: choices.map(({ message, finishReason }, index) => ({
      index,
      message: message.build(),
      logprobs: null,
      finish_reason: wireFinishReasons[finishReason],
    })),
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
  /** What stands before and after the text, for each choice. */
  readonly #aroundText: readonly (readonly [before: string, after: string])[];

  constructor(
    head: ReplyHead,
    options: { readonly choiceCount: number; readonly includeUsage: boolean },
  ) {
    this.#head = head;
    this.#includeUsage = options.includeUsage;
    this.#aroundText = Array.from({ length: options.choiceCount }, (_, index) => {
      const sample = this.#choice(index, { content: deltaMark });
      const [before = '', after = ''] = sample.split(JSON.stringify(deltaMark));
      return [before, after];
    });
  }

  /** Opens all choices. */
  opening(): string {
    const delta = { role: 'assistant', content: '', refusal: null } as const;
    return this.#aroundText.map((_, index) => this.#choice(index, delta)).join('');
  }

  of(event: CompletionEvent): string {
    switch (event.type) {
      case 'delta':
        return this.#delta(event.choice, event.delta);
      case 'choice-end':
        return this.#choice(event.choice, {}, wireFinishReasons[event.finishReason]);
      case 'completion-end': {
        const usage = { ...this.#start(), choices: [], usage: toUsage(event.usage) };
        return (this.#includeUsage ? frame(usage) : '') + doneFrame;
      }
      default:
        return event satisfies never;
    }
  }

  #delta(index: number, delta: ReplyDelta): string {
    if (delta.type !== 'text-delta') return this.#choice(index, toWireDelta(delta));
    const [before, after] = this.#aroundText[index] ?? ['', ''];
    return before + JSON.stringify(delta.text) + after;
  }

  #choice(
    index: number,
    delta: Choice['delta'],
    finishReason: Choice['finish_reason'] = null,
  ): string {
    const chunk: ChatCompletionChunk = {
      ...this.#start(),
      choices: [{ index, delta, logprobs: null, finish_reason: finishReason }],
      ...(this.#includeUsage && { usage: null }),
    };
    return frame(chunk);
  }

  #start(): ReplyHead & Pick<ChatCompletionChunk, 'object'> {
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
