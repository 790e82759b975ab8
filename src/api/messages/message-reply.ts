import { randomUUID } from 'node:crypto';
import { toAnthropicError } from '../../core/anthropic-error.ts';
import type { GatewayError } from '../../core/errors.ts';
import type { TokenUsage } from '../../engine/generator.ts';
import type { TextModel } from '../fields/served-model.ts';
import type { ChoiceEnd, CompletionEvent } from '../generation/choice.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import type { ReplyCollector } from '../generation/reply.ts';
import type { ReplyFramer } from '../generation/reply-stream.ts';
import { namedFrame } from '../generation/sse.ts';
import { MessageBlocks } from './message-blocks.ts';
import type {
  BlockEvent,
  Message,
  MessageStreamEvent,
  MessageUsage,
  ReplyBlock,
  StopReason,
} from './message-shapes.ts';

/** What is known of a message before it begins. */
export interface MessageHead {
  readonly id: string;
  readonly model: string;
  /** Tokens of prompt and reply together. */
  readonly contextLength: number;
  /** Of the request, for an error within a stream. */
  readonly requestId: string;
  /** Thinking blocks have no text: their signature holds it. */
  readonly omitsThinking: boolean;
}

export function newMessageHead(
  { card, engine }: TextModel,
  requestId: string,
  omitsThinking: boolean,
): MessageHead {
  return {
    id: `msg_${randomUUID().replaceAll('-', '')}`,
    model: card.id,
    contextLength: engine.info.contextLength,
    requestId,
    omitsThinking,
  };
}

/** The reply to a request that does not stream. */
export class MessageReply implements ReplyCollector {
  readonly #head: MessageHead;
  readonly #blocks: MessageBlocks;
  readonly #content: ReplyBlock[] = [];
  /** The text of the arguments of each call, by the index of its block. */
  readonly #inputs = new Map<number, string>();
  #end: ChoiceEnd | undefined;

  constructor(head: MessageHead) {
    this.#head = head;
    this.#blocks = new MessageBlocks(head.omitsThinking);
  }

  add(_choice: number, event: CompletionEvent): void {
    switch (event.type) {
      case 'choice-begin':
      case 'prompt-delta':
      case 'prompt-progress':
        return;
      case 'choice-end':
        this.#end = event;
        for (const each of this.#blocks.close()) this.#apply(each);
        return;
      default:
        for (const each of this.#blocks.of(event)) this.#apply(each);
    }
  }

  build({ usage }: CompletionTotals): Message {
    for (const [index, text] of this.#inputs) {
      const block = this.#content[index];
      if (block?.type === 'tool_use') block.input = parsedInput(text);
    }
    return {
      ...emptyMessage(this.#head, usage),
      content: this.#content,
      ...stopOf(this.#end, this.#head),
    };
  }

  #apply(event: BlockEvent): void {
    if (event.type === 'content_block_start') {
      this.#content[event.index] = event.content_block;
      return;
    }
    if (event.type === 'content_block_stop') return;
    const block = this.#content[event.index];
    const { delta } = event;
    if (delta.type === 'input_json_delta') {
      this.#inputs.set(event.index, (this.#inputs.get(event.index) ?? '') + delta.partial_json);
    } else if (block?.type === 'text' && delta.type === 'text_delta') {
      block.text += delta.text;
    } else if (block?.type === 'thinking') {
      if (delta.type === 'thinking_delta') block.thinking += delta.thinking;
      if (delta.type === 'signature_delta') block.signature = delta.signature;
    }
  }
}

/** The frames of a stream. It begins when the engine has looked for the prompt in its cache. */
export class MessageFrames implements ReplyFramer {
  readonly ping = eventFrame({ type: 'ping' });
  readonly #head: MessageHead;
  readonly #blocks: MessageBlocks;
  #hasBegun = false;
  #end: ChoiceEnd | undefined;

  constructor(head: MessageHead) {
    this.#head = head;
    this.#blocks = new MessageBlocks(head.omitsThinking);
  }

  opening(): string {
    return '';
  }

  of(_choice: number, event: CompletionEvent): string {
    switch (event.type) {
      case 'choice-begin':
      case 'prompt-delta':
        return '';
      case 'prompt-progress':
        return this.#begin(event);
      case 'choice-end':
        this.#end = event;
        return this.#begin(event.usage) + this.#blocks.close().map(eventFrame).join('');
      default:
        return this.#blocks.of(event).map(eventFrame).join('');
    }
  }

  end({ usage }: CompletionTotals): string {
    const delta = eventFrame({
      type: 'message_delta',
      delta: stopOf(this.#end, this.#head),
      usage: countsOf(usage),
    });
    return delta + eventFrame({ type: 'message_stop' });
  }

  failure(error: GatewayError): string {
    return namedFrame('error', toAnthropicError(error, this.#head.requestId));
  }

  #begin(prompt: { readonly promptTokenCount: number; readonly cachedTokenCount: number }): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    const usage = { ...prompt, completionTokenCount: 0, reasoningTokenCount: 0 };
    return eventFrame({ type: 'message_start', message: emptyMessage(this.#head, usage) });
  }
}

function eventFrame(event: MessageStreamEvent): string {
  return namedFrame(event.type, event);
}

function emptyMessage({ id, model }: MessageHead, usage: TokenUsage): Message {
  return {
    id,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: usageOf(usage),
  };
}

function stopOf(end: ChoiceEnd | undefined, { contextLength }: MessageHead) {
  const matched = typeof end?.stopReason === 'string' ? end.stopReason : null;
  return {
    stop_reason: stopReasonOf(end, matched, contextLength),
    stop_sequence: matched,
    stop_details: null,
    container: null,
  };
}

function stopReasonOf(
  end: ChoiceEnd | undefined,
  matched: string | null,
  contextLength: number,
): StopReason {
  if (end?.finishReason === 'tool-calls') return 'tool_use';
  if (end?.finishReason === 'length') {
    const { promptTokenCount, completionTokenCount } = end.usage;
    const isFull = promptTokenCount + completionTokenCount >= contextLength;
    return isFull ? 'model_context_window_exceeded' : 'max_tokens';
  }
  return matched === null ? 'end_turn' : 'stop_sequence';
}

function countsOf(usage: TokenUsage) {
  return {
    input_tokens: usage.promptTokenCount - usage.cachedTokenCount,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: usage.cachedTokenCount,
    output_tokens: usage.completionTokenCount,
    output_tokens_details: { thinking_tokens: usage.reasoningTokenCount },
    server_tool_use: null,
  };
}

function usageOf(usage: TokenUsage): MessageUsage {
  return {
    ...countsOf(usage),
    cache_creation: null,
    inference_geo: null,
    service_tier: 'standard',
    speed: null,
  };
}

/** A call that the limit has cut has no input that could be read. */
function parsedInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
